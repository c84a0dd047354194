/** The lines of a simulation. */
import { assert, describe, it } from "@effect/vitest"
import * as Fleet from "../../src/fleet/Fleet.ts"
import * as Simulation from "../../src/fleet/Simulation.ts"

const figures = (): Fleet.Figures => ({
  ...Fleet.figures(),
  connected: 2,
  calls: new Map([
    ["UpdateStats", 5],
    ["BatchUpdateMetadata", 40],
    ["BatchCreateLogs", 7]
  ]),
  failures: new Map([
    ["connecting: SocketOpenError", 2],
    ["UpdateStats: Unavailable", 3]
  ])
})

describe("a simulation", () => {
  it("describes its state in one line", () => {
    assert.strictEqual(
      Simulation.describe(3, figures(), 2.55),
      "2 of 3 agents connected, 2.5 reports/s, 40 reports, 12 other calls, 5 errors"
    )
  })

  it("ends with its counts, and its failures by kind, the most frequent first", () => {
    assert.strictEqual(
      Simulation.summary(figures()),
      [
        "40 reports and 12 other calls accepted, 5 errors",
        "  3 × UpdateStats: Unavailable",
        "  2 × connecting: SocketOpenError"
      ].join("\n")
    )
  })

  it("has the same as JSON for programs", () => {
    assert.deepStrictEqual(Simulation.totals({ ...figures(), latencies: [0, 10] }), {
      reports: 40,
      otherCalls: 12,
      errors: 5,
      acceptedWithin: { "50 %": 0.0005625000000000001, "95 %": 0.00061875, "99 %": 0.00062375 },
      failures: { "connecting: SocketOpenError": 2, "UpdateStats: Unavailable": 3 }
    })
  })
})
