import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as DisplayText from "../../src/domain/DisplayText.ts"

const cleans = (cases: ReadonlyArray<readonly [text: string, clean: string]>) => {
  for (const [text, clean] of cases) assert.strictEqual(DisplayText.clean(text), clean)
}

describe("DisplayText", () => {
  it("leaves text alone, whatever its language [AA-11]", () => {
    cleans([
      ["Wrote 3 files, 12 % left: 1 < 2 > 0 && a<1", "Wrote 3 files, 12 % left: 1 < 2 > 0 && a<1"],
      ["naïve 日本語 👩‍💻 I ❤️ it", "naïve 日本語 👩‍💻 I ❤️ it"],
      ["", ""]
    ])
  })

  it("removes what speaks to terminals [AA-11]", () => {
    cleans([
      ["\u001b[1;31mred\u001b[0m", "red"],
      ["\u001b]8;;https://example.com\u0007link\u001b]8;;\u001b\\", "link"],
      ["\u001b]0;a title\u001b\\done", "done"],
      ["a\u009b2Jb\u001bcc\u001b(Bd\u001b", "abcd"]
    ])
  })

  it("removes control characters, and those that steer their neighbours [AA-11]", () => {
    cleans([
      ["a\u0000b\u0007c\u007fd\u0085e", "abcde"],
      ["evil\u202egnp.exe\u202c \u200bzero\u2066 isolated\u2069", "evilgnp.exe zero isolated"]
    ])
  })

  it("makes one space of white space, and one line of all [AA-11]", () => {
    cleans([
      ["  one\r\n\t two\u2028three\u00a0 four\n", "one two three four"],
      ["a <br> b", "a b"]
    ])
  })

  it("removes tags, and scripts and styles with what is in them [AA-11]", () => {
    cleans([
      ["<b>bold</b> and <a href='x'>a link</a><!-- secret -->", "bold and a link"],
      ["a<script>alert(1)</script>b<STYLE>\n* {}</STYLE >c", "abc"],
      ['a<script type="module">alert(1)</script>b', "ab"],
      ["<img src=x onerror=alert(1)", ""],
      ["<scr\u0000ipt>alert(1)</script>", ""]
    ])
  })

  it("removes tags that come to be when others are removed [AA-11]", () => {
    cleans([
      ["<<b>script>alert(1)<</b>/script>", ""],
      ["<\u001b[0mimg src=x>", ""],
      ["<\u200bimg src=x>", ""]
    ])
  })

  it.prop(
    "has nothing left to clean, whatever the text",
    {
      parts: Schema.Array(
        Schema.Literals(["<", ">", "script", "/", "b", " ", "\n", "\u001b", "[", "]", "\u0007", "\u200b", "1", "😀"])
      )
    },
    ({ parts }) => {
      const clean = DisplayText.clean(parts.join(""))

      assert.strictEqual(DisplayText.clean(clean), clean)
      assert.notMatch(clean, /<[a-z/!?]|[\u0080-\u009f]/i)
    }
  )
})
