import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Utf8 from "../../src/domain/Utf8.ts"

describe("Utf8", () => {
  it("measures text in bytes, not in characters", () => {
    assert.strictEqual(Utf8.byteLength("aé€😀"), 1 + 2 + 3 + 4)
  })

  it("measures a text that is longer than its working memory, and lone surrogates as the runtime does", () => {
    for (const text of ["€".repeat(5_000), `a${"😀".repeat(5_000)}`, "\uD800a\uDC00\uD83D\uDE00"]) {
      assert.strictEqual(Utf8.byteLength(text), Buffer.byteLength(text))
    }
  })

  it("finds a text too long from its first byte beyond the limit", () => {
    for (const text of ["aé€😀", "", "€€€", "\uD800"]) {
      const bytes = Buffer.byteLength(text)
      assert.deepStrictEqual([Utf8.exceeds(text, bytes), Utf8.exceeds(text, bytes - 1)], [false, true])
    }
  })

  it("keeps a text of exactly the limit whole", () => {
    assert.strictEqual(Utf8.truncate("aé€😀", 10), "aé€😀")
  })

  it("never splits a character [MR-14]", () => {
    const prefixes = Array.from({ length: 10 }, (_, limit) => Utf8.truncate("aé€😀", limit))

    assert.deepStrictEqual(prefixes, ["", "a", "a", "aé", "aé", "aé", "aé€", "aé€", "aé€", "aé€"])
  })

  it("keeps a byte order mark, which is a character like any other", () => {
    assert.strictEqual(Utf8.truncate("\uFEFFabc", 4), "\uFEFFa")
  })

  it.prop(
    "returns the longest prefix within the limit, whatever the text",
    { text: Schema.String, limit: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })) },
    ({ limit, text }) => {
      const wellFormed = text.toWellFormed()

      const cut = Utf8.truncate(wellFormed, limit)

      const [next = ""] = wellFormed.slice(cut.length)
      assert.isTrue(wellFormed.startsWith(cut) && cut.isWellFormed())
      assert.isTrue(Utf8.byteLength(cut) <= limit)
      assert.isTrue(next === "" || Utf8.byteLength(cut + next) > limit)
    }
  )
})
