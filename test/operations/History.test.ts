/** The points of the plots in their ranges. */
import { assert, describe, it } from "@effect/vitest"
import * as History from "../../src/operations/History.ts"
import type { Point } from "../../src/operations/Overview.ts"
import { point } from "../support/points.ts"

const after = (seconds: number, of: (second: number) => Partial<Point> = () => ({})) => {
  const history = History.make()
  for (let second = 0; second < seconds; second++) history.add(point(second, of(second)))
  return history
}

describe("the history", () => {
  it("has each second of ten minutes, and a day in coarser steps [LF-35]", () => {
    const history = after(90_000)
    const span = (range: History.Range) => {
      const points = history.points(range)
      return [points.length, Math.round((points.at(-1)!.at - points[0]!.at) / 1_000)]
    }

    assert.deepStrictEqual(span("10m"), [600, 599])
    for (const [range, seconds] of [
      ["1h", 3_600],
      ["6h", 21_600],
      ["1d", 86_400]
    ] as const) {
      const [length, covered] = span(range)
      assert.strictEqual(length, 600)
      assert.approximately(covered!, seconds, 2 * History.secondsOfPoint[range])
      assert.strictEqual(history.points(range).at(-1)!.at, 89_999_000)
    }
  })

  it("shows the mean of rates, and the peak of everything else [LF-35]", () => {
    const history = after(12, (second) =>
      second === 3
        ? { updates: 60, rows: 6, agents: 7, pending: 40, queued: 3, writtenAge: 2.5, watchDelay: 9 }
        : { agents: 5, writtenAge: second === 2 ? 1 : null }
    )

    assert.deepStrictEqual(history.points("1h"), [
      point(5, { updates: 10, rows: 1, agents: 7, pending: 40, queued: 3, writtenAge: 2.5, watchDelay: 9 }),
      point(11, { agents: 5 })
    ])
    assert.deepStrictEqual(after(2, () => ({ updates: 4 })).points("1d"), [point(1, { updates: 4 })])
    assert.deepStrictEqual(after(0).points("1d"), [])
  })

  it("returns a point to keep every 36 seconds of the clock, the same seconds in every replica [LF-42]", () => {
    const history = History.make()
    const kept = (from: number, to: number, updates: number) =>
      Array.from({ length: to - from }, (_, index) => history.add(point(from + index, { updates }))).filter(
        (point) => point !== undefined
      )

    assert.deepStrictEqual(kept(3_600, 3_637, 10), [point(3_636, { updates: 10 })])
    assert.deepStrictEqual(kept(3_637, 3_680, 20), [point(3_672, { updates: 19.72 })])
  })

  it("makes ranges of kept points [LF-42]", () => {
    const kept = Array.from({ length: 8 }, (_, index) => point(36 * (index + 1), { updates: index, agents: index }))

    assert.isTrue(History.isKept("1d") && History.isKept("6h") && !History.isKept("1h") && !History.isKept("10m"))
    assert.deepStrictEqual(History.ofKept(kept, "6h"), kept)
    assert.deepStrictEqual(History.ofKept(kept, "1d"), [
      point(144, { updates: 1.5, agents: 3 }),
      point(288, { updates: 5.5, agents: 7 })
    ])
  })

  it("keeps each reading of ten minutes, also of readings that are less than a second apart [LF-35]", () => {
    const history = History.make()
    for (const second of [0, 0.999, 2, 2.995]) history.add(point(second))

    assert.deepStrictEqual(
      history.points("10m").map(({ at }) => at),
      [0, 999, 2_000, 2_995]
    )
  })
})
