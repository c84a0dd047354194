/** The table of parity against the tests that it speaks of. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { testTitles } from "./support/testTitles.ts"

const table = readFileSync("test/PARITY.md", "utf8")
  .split("\n")
  .flatMap((line) => {
    const match = /^\| ([A-Z]{2}-\d{2}) \| (.+) \| (.+) \|$/.exec(line)
    return match === null ? [] : [{ row: match[1]!, behaviour: match[2]!, state: match[3]! }]
  })

const titles = globSync(["test/**/*.test.ts", "test/**/*Suite.ts"]).flatMap((file) =>
  testTitles(readFileSync(file, "utf8")).map((title) => ({ ...title, place: `${file}:${title.line}` }))
)

/** The rows named in brackets at the end of the title of a test that every run executes. */
const proven = new Set(titles.flatMap(({ rows, runs }) => (runs ? rows : [])))

describe("PARITY.md", () => {
  it("has every row once", () => {
    const rows = table.map(({ row }) => row)

    assert.isAtLeast(rows.length, 329)
    assert.strictEqual(new Set(rows).size, rows.length)
  })

  it("calls a row same, better with how, or not yet", () => {
    for (const { row, state } of table) assert.match(state, /^(same|better: .+|not yet)$/, row)
  })

  it("claims nothing that no test proves", () => {
    const claimed = table.filter(({ state }) => state !== "not yet")

    assert.deepStrictEqual(
      claimed.map(({ row }) => row).filter((row) => !proven.has(row)),
      []
    )
  })

  it("leaves out nothing that a test proves", () => {
    const open = new Set(table.filter(({ state }) => state === "not yet").map(({ row }) => row))
    const known = new Set(table.map(({ row }) => row))

    assert.deepStrictEqual(
      [...proven].filter((row) => open.has(row) || !known.has(row)),
      []
    )
  })
})

describe("the titles of tests", () => {
  it("name rows at their end alone, where no value hides them", () => {
    assert.deepStrictEqual(
      titles.filter(({ isUnclear }) => isUnclear).map(({ place, text }) => `${place} ${text}`),
      []
    )
  })

  it("name no row in a test that some runs leave out", () => {
    assert.deepStrictEqual(
      titles.filter(({ rows, runs }) => rows.length > 0 && !runs).map(({ place, text }) => `${place} ${text}`),
      []
    )
  })
})

describe("testTitles", () => {
  const of = (source: string) => testTitles(source).map(({ isUnclear, rows, runs }) => ({ isUnclear, rows, runs }))
  const proof = { isUnclear: false, rows: ["AA-01"], runs: true }

  it("reads the rows of a title, in every form that a test has", () => {
    for (const test of [
      `it("is so [AA-01]", () => 1)`,
      `test("is so [AA-01]", () => 1)`,
      `it.effect(\n  "is so [AA-01]",\n  () => 1)`,
      `it.live.each([1, 2])("is so with %s [AA-01]", (number: number) => 1)`,
      "it.effect(`is ${so} [AA-01]`, () => 1)",
      `describe("a group", () => { for (const so of all) it.effect(\`is \${so} [AA-01]\`, () => 1) })`
    ]) {
      assert.deepStrictEqual(of(test), [proof], test)
    }
    assert.deepStrictEqual(of(`it("is so [AA-01, AA-02] [BB-03]", () => 1)`)[0]!.rows, ["AA-01", "AA-02", "BB-03"])
  })

  it("tells a test that some runs leave out", () => {
    for (const test of [
      `it.skip("is so [AA-01]", () => 1)`,
      `it.effect.skip("is so [AA-01]", () => 1)`,
      `it.effect.runIf(isRoot)("is so [AA-01]", () => 1)`,
      `it.skipIf(true)("is so [AA-01]", () => 1)`,
      `it.fails("is so [AA-01]", () => 1)`,
      `describe.skip("a group", () => { it("is so [AA-01]", () => 1) })`,
      `describe.runIf(isRoot)("a group", () => { describe("another", () => { it("is so [AA-01]", () => 1) }) })`,
      `if (isRoot) it("is so [AA-01]", () => 1)`,
      `describe("a group", () => { isRoot && it("is so [AA-01]", () => 1) })`,
      `(isRoot ? describe : describe.skip)("a group", () => { it("is so [AA-01]", () => 1) })`,
      `describe("a group", () => { isRoot ? it("is so [AA-01]", () => 1) : undefined })`
    ]) {
      assert.deepStrictEqual(of(test), [{ ...proof, runs: false }], test)
    }
  })

  it("takes neither a comment nor another text for a title", () => {
    assert.deepStrictEqual(of(`// it("is so [AA-01]", () => 1)\nconst text = "is so [AA-01]"`), [])
    assert.deepStrictEqual(of(`describe("a group [AA-01]", () => {})`), [])
  })

  it("calls a title unclear that may hide a row, or has one before its end", () => {
    for (const title of ["`is so [${row}]`", "`is so ${row}`", "title", `"is so " + row`, `"is [AA-01] so"`]) {
      assert.isTrue(of(`it(${title}, () => 1)`)[0]!.isUnclear, title)
    }
  })
})
