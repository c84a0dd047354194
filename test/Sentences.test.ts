/** The script behind `npm run check:sentences`. */
import { assert, describe, it } from "@effect/vitest"
import { paragraphs, prose, relativeSentences } from "./support/sentences.ts"

const inMarkdown = (text: string) => paragraphs(text).flatMap(relativeSentences)
const inSource = (text: string, file = "src/example.ts") => prose(file, text).flatMap(relativeSentences)

describe("check:sentences", () => {
  it("finds a relative clause at the start of a sentence, and the line of it", () => {
    assert.deepStrictEqual(inMarkdown("One line.\nTwo (really). What it\nholds is kept.\n\n* Who asks gets it."), [
      { line: 2, text: "What it holds is kept" },
      { line: 5, text: "Who asks gets it" }
    ])
  })

  it("lets a question begin so", () => {
    assert.deepStrictEqual(inMarkdown("What is it? It is this. **Which of them?** All."), [])
  })

  it("lets “when” and “where” open a clause that a comma ends", () => {
    assert.deepStrictEqual(inMarkdown("When it is full, it drops. Where there is none, it waits."), [])
    assert.deepStrictEqual(inMarkdown("Where it is kept."), [{ line: 1, text: "Where it is kept" }])
  })

  it("reads the cells of a table, and neither its header nor code", () => {
    assert.deepStrictEqual(inMarkdown("| What |\n| --- |\n| Who asks. |\n\n```\nWhat a block.\n```"), [
      { line: 3, text: "Who asks" }
    ])
  })

  it("reads comments of every form, and follows one over its lines", () => {
    const source = [
      "/** What it is. */",
      "const a = 1 // Who made it",
      "// A beginning. Whose",
      "// end is here.",
      "/**",
      " * @param a - what it is for",
      " */"
    ].join("\n")

    assert.deepStrictEqual(inSource(source), [
      { line: 1, text: "What it is" },
      { line: 6, text: "what it is for" },
      { line: 2, text: "Who made it" },
      { line: 3, text: "Whose end is here" }
    ])
  })

  it("reads texts of the source, and of tests their titles alone", () => {
    assert.deepStrictEqual(inSource('const a = "What it is."'), [{ line: 1, text: "What it is" }])
    assert.deepStrictEqual(inSource('const a = "What it is."', "test/a.test.ts"), [])
    assert.deepStrictEqual(inSource('it.effect(\n  "what it is", () => 1)', "test/a.test.ts"), [
      { line: 2, text: "what it is" }
    ])
  })

  it("is not misled by quotes in expressions, nor by comments in strings", () => {
    assert.deepStrictEqual(inSource("const a = /[\"/]/ // What it is\nconst b = '// Who'"), [
      { line: 1, text: "What it is" }
    ])
  })
})
