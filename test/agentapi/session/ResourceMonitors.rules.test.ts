/** The state of a monitor after a report. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import type { MonitorState } from "../../../src/agentapi/ports/ResourceMonitorStore.ts"
import * as ResourceMonitors from "../../../src/agentapi/session/ResourceMonitors.ts"
import { at } from "../../support/metadataBatcher.ts"

type Point = MonitorState | "unknown"

/** Points by their initials: ok, nok (`x`), unknown. */
const points = (initials: string): ReadonlyArray<Point> =>
  Array.from(initials, (initial) => (initial === "o" ? "ok" : initial === "x" ? "nok" : "unknown"))

const { advance, pointOf, stateAfter } = ResourceMonitors

/** The states that follow both states. */
const after = (initials: string) => [stateAfter("ok", points(initials)), stateAfter("nok", points(initials))]

const [unchanged, well, full] = [
  ["ok", "nok"],
  ["ok", "ok"],
  ["nok", "nok"]
]

describe("a monitor", () => {
  it("has the constants of the original [AP-09]", () => {
    const { collectionInterval, consecutiveNok, datapoints, debounce, minimumNok } = ResourceMonitors

    assert.deepStrictEqual([datapoints, consecutiveNok, minimumNok], [20, 50, 20])
    assert.deepStrictEqual([Duration.toSeconds(collectionInterval), Duration.toMinutes(debounce)], [10, 30])
  })

  it("finds a point not well at its threshold, by whole percents [RM-04]", () => {
    assert.strictEqual(pointOf({ used: 80, total: 100 }, 80), "nok")
    assert.strictEqual(pointOf({ used: 79, total: 100 }, 80), "ok")
    assert.strictEqual(pointOf({ used: 7_999, total: 10_000 }, 80), "ok")
    assert.strictEqual(pointOf({ used: 2 ** 50, total: 2 ** 50 }, 100), "nok")
    assert.strictEqual(pointOf({ used: 0, total: 1 }, 0), "nok")
  })

  it("knows nothing of a point that is missing, or whose total is nothing [RM-05, RM-11]", () => {
    assert.strictEqual(pointOf(undefined, 80), "unknown")
    assert.strictEqual(pointOf({ used: 0, total: 0 }, 80), "unknown")
    assert.strictEqual(pointOf({ used: 5, total: 0 }, 0), "unknown")
  })

  it("counts unknown points among all [RM-05]", () => {
    assert.deepStrictEqual(after("xxx?????????????????"), unchanged)
    assert.deepStrictEqual(after("xxxxo???????????????"), full)
    assert.deepStrictEqual(after("o?"), unchanged)
    assert.deepStrictEqual(after("????????????????????"), unchanged)
  })

  it("is not well after half of the points in a row, wherever they are [RM-06]", () => {
    // by the limits of the service, every such report has more than a fifth of the points anyway
    const inARow = (initials: string) => stateAfter("ok", points(initials), { consecutiveNok: 50, minimumNok: 101 })

    for (const initials of [`${"x".repeat(10)}${"o".repeat(10)}`, `ooooo${"x".repeat(10)}ooooo`, "xo"]) {
      assert.deepStrictEqual([inARow(initials), after(initials)], ["nok", full], initials)
    }
    for (const initials of [`${"x".repeat(9)}${"o".repeat(11)}`, "xo".repeat(10), "xxxxx?xxxxxooooooooo"]) {
      assert.strictEqual(inARow(initials), "ok", initials)
    }
  })

  it("is not well after a fifth of the points [RM-07]", () => {
    assert.deepStrictEqual(after("xoooxoooxoooxooooooo"), full)
    assert.deepStrictEqual(after("xoooxoooxooooooooooo"), unchanged)
  })

  it("rounds shares to whole percents [RM-07]", () => {
    // 7 of 36 are 19.4 %, 8 of 41 are 19.5 %
    assert.deepStrictEqual(after(`${"xo".repeat(7)}${"o".repeat(22)}`), unchanged)
    assert.deepStrictEqual(after(`${"xo".repeat(8)}${"o".repeat(25)}`), full)
  })

  it("is well again when all points are [RM-08]", () => {
    assert.deepStrictEqual(after("o".repeat(20)), well)
    assert.deepStrictEqual(after("o"), well)
  })

  it("stays as it is after a few points that are not well [RM-09]", () => {
    for (const initials of [`x${"o".repeat(19)}`, `${"o".repeat(17)}xxx`, `?${"o".repeat(19)}`]) {
      assert.deepStrictEqual(after(initials), unchanged, initials)
    }
  })

  it("is well without a point [RM-10]", () => {
    assert.deepStrictEqual(after(""), well)
  })

  it("alarms at the turn alone, after its debounce, which then lasts half an hour [RM-12, RM-13]", () => {
    const monitor = { enabled: true, threshold: 80, state: "ok", debouncedUntil: at(0) } as const
    const turn = advance(monitor, points("x"), at(1))

    assert.isTrue(turn.alarming)
    assert.deepStrictEqual(turn.monitor, { ...monitor, state: "nok", debouncedUntil: at(1 + 30 * 60_000) })
    assert.deepStrictEqual(advance(turn.monitor, points("x"), at(2 ** 40)), { monitor: turn.monitor, alarming: false })
    assert.deepStrictEqual(advance(monitor, points("x"), at(0)), {
      monitor: { ...monitor, state: "nok" },
      alarming: false
    })
  })
})
