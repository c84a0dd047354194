/** The table of parity against the tests that it speaks of. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"

const table = readFileSync("test/PARITY.md", "utf8")
  .split("\n")
  .flatMap((line) => {
    const match = /^\| ([A-Z]{2}-\d{2}) \| (.+) \| (.+) \|$/.exec(line)
    return match === null ? [] : [{ row: match[1]!, behaviour: match[2]!, state: match[3]! }]
  })

/** The rows named in brackets at the end of a test's title, which may be cut over lines by the formatter. */
const proven = new Set(
  globSync(["test/**/*.test.ts", "test/**/*Suite.ts"]).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\[((?:[A-Z]{2}-\d{2}(?:, )?)+)\]["`]/g)].flatMap(([, rows]) =>
      rows!.split(", ")
    )
  )
)

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
