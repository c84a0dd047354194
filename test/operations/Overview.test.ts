/** How readings become the figures that people look at. */
import { assert, describe, it } from "@effect/vitest"
import * as Overview from "../../src/operations/Overview.ts"
import type * as Reading from "../../src/operations/Reading.ts"

const none: Reading.Distribution = { bounds: [0.1, 1], counts: [0, 0, 0], sum: 0 }

/** A reading so many seconds after the start. */
const at = (seconds: number, over: Partial<Reading.Reading> = {}): Reading.Reading => ({
  at: seconds * 1_000,
  agents: 0,
  isListening: true,
  storeNodesAway: 0,
  updates: 0,
  rows: 0,
  notifies: 0,
  pending: 0,
  queued: 0,
  sizes: none,
  writtenAges: none,
  watchDelays: none,
  flushes: {
    capacity: { batches: 0, durations: none },
    scheduled: { batches: 0, durations: none },
    manual: { batches: 0, durations: none },
    shutdown: { batches: 0, durations: none }
  },
  incidents: {},
  ...over
})

const make = (
  readings: ReadonlyArray<Reading.Reading>,
  problem?: string,
  others: ReadonlyArray<Overview.Overview["fleet"]["replicas"][number]> = []
) => Overview.make(readings, { problem, startedAt: 0, name: "own", others })

describe("the overview", () => {
  it("shows rates as averages over thirty seconds, or over what there is", () => {
    const readings = Array.from({ length: 41 }, (_, second) => at(second, { updates: second < 10 ? 0 : second * 30 }))

    assert.strictEqual(make(readings).point.updates, 30)
    assert.strictEqual(make(readings.slice(0, 11)).point.updates, 30)
    assert.strictEqual(make([at(5, { rows: 7 })]).point.rows, 0)
    assert.strictEqual(make([at(0), at(2, { rows: 1 })]).point.rows, 0.5)
  })

  it("counts the statements that one for each update would have been, less those that were made", () => {
    const flushes = { ...at(0).flushes, scheduled: { batches: 3, durations: none } }

    assert.strictEqual(make([at(1, { updates: 1_000, pending: 40, queued: 60, flushes })]).totals.saved, 897)
    assert.strictEqual(make([at(1, { updates: 1, flushes })]).totals.saved, 0)
  })

  it("shows all replicas with their sums, and which one answers [RO-08]", () => {
    const other = { name: "a", uptime: 9, agents: 3, updates: 1.5, rows: 1, pending: 2, problems: ["no"], isOwn: false }
    const { replicas, sums } = make([at(0), at(2, { agents: 2, updates: 3, pending: 4 })], undefined, [other]).fleet

    assert.deepStrictEqual(
      replicas.map(({ isOwn, name }) => [name, isOwn]),
      [
        ["a", false],
        ["own", true]
      ]
    )
    assert.deepStrictEqual(sums, { agents: 5, updates: 3, rows: 1, pending: 6 })
  })

  it("is healthy when nothing is wrong, and names each problem otherwise", () => {
    assert.deepStrictEqual(make([at(0), at(1)]).problems, [])
    assert.deepStrictEqual(make([at(0), at(1)], "the database does not answer").problems, [
      "the database does not answer"
    ])
    assert.deepStrictEqual(make([at(0), at(1, { isListening: false })]).problems, [
      "changes are not heard: the listening connection is away"
    ])
  })

  it("shows a steady rate of rows that are written in bursts [LF-24]", () => {
    // 157 rows each five seconds
    const readings = Array.from({ length: 120 }, (_, second) => at(second, { rows: Math.floor(second / 5) * 157 }))

    const rates = Array.from({ length: 60 }, (_, more) => make(readings.slice(0, 60 + more)).point.rows)
    assert.deepStrictEqual([...new Set(rates)], [31.4])
  })

  it("shows a steady rate of bursts that are not quite five seconds apart, and none soon after the last one [LF-24]", () => {
    const readings = Array.from({ length: 120 }, (_, second) => at(second, { rows: Math.floor(second / 5.4) * 157 }))
    const rates = Array.from({ length: 60 }, (_, more) => make(readings.slice(0, 60 + more)).point.rows)
    for (const rate of rates) assert.approximately(rate, 157 / 5.4, 1.5)

    const stopped = [...readings, ...Array.from({ length: 40 }, (_, more) => at(120 + more, { rows: 22 * 157 }))]
    const after = (seconds: number) => make(stopped.slice(0, 120 + seconds)).point.rows
    assert.isBelow(after(20), 0.7 * rates.at(-1)!)
    assert.strictEqual(after(40), 0)
  })

  it("is healthy again half a minute after a failure that lost nothing, and goes on counting it [LF-23]", () => {
    const label = "listening connections lost"
    const failed = { incidents: { [label]: 1 } }

    assert.deepStrictEqual(make([at(0), at(1, failed), at(30, failed)]).problems, [`1 ${label}`])
    const later = make([at(0), at(1, failed), at(32, failed)])
    assert.deepStrictEqual(later.problems, [])
    assert.deepInclude(
      later.incidents.find((one) => one.label === label),
      { recent: 1, total: 1 }
    )
  })

  it("says that a percentile is beyond the last bound of its histogram [LF-25]", () => {
    const slow = (counts: ReadonlyArray<number>) => ({
      flushes: { ...at(0).flushes, capacity: { batches: 9, durations: { bounds: [1, 5], counts, sum: 66 } } }
    })
    const p95 = (counts: ReadonlyArray<number>) => make([at(0), at(1, slow(counts))]).flushes[0]

    assert.deepInclude(p95([0, 1, 8]), { p95: 5, isP95Least: true })
    assert.deepInclude(p95([0, 9, 0]), { isP95Least: false })
  })

  it("names what was lost for five minutes, and goes on counting it", () => {
    const lost = (updates: number) => ({ incidents: { "updates lost: shutdown": updates } })
    const incident = (overview: Overview.Overview) =>
      overview.incidents.find(({ label }) => label === "updates lost: shutdown")

    const soon = make([at(0), at(1, lost(7)), at(300, lost(7))])
    const later = make([at(0), at(1, lost(7)), at(302, lost(7))])

    assert.deepStrictEqual(soon.problems, ["7 updates lost: shutdown"])
    assert.deepStrictEqual(incident(soon), { label: "updates lost: shutdown", isLoss: true, total: 7, recent: 7 })
    assert.deepStrictEqual(later.problems, [])
    assert.deepStrictEqual(incident(later), { label: "updates lost: shutdown", isLoss: true, total: 7, recent: 0 })
  })

  it("shows sizes and durations of the flushes of the last five minutes alone", () => {
    const flushed = (batches: number, counts: ReadonlyArray<number>, sum: number) => ({
      sizes: { bounds: [10, 50], counts, sum },
      flushes: { ...at(0).flushes, capacity: { batches, durations: { bounds: [0, 1], counts, sum } } }
    })

    const overview = make([
      at(0, flushed(4, [4, 0, 0], 0.2)),
      at(1, flushed(4, [4, 0, 0], 0.2)),
      at(301, flushed(6, [5, 1, 0], 1.2))
    ])

    assert.deepInclude(overview.flushes[0], { reason: "capacity", total: 6, mean: 0.5 })
    assert.approximately(overview.flushes[0]!.p95!, 0.9, 1e-9)
    assert.deepStrictEqual(overview.flushes[1], {
      reason: "scheduled",
      total: 0,
      mean: null,
      p95: null,
      isP95Least: false
    })
    assert.deepStrictEqual(overview.sizes, [
      { upTo: 10, count: 1 },
      { upTo: 50, count: 1 },
      { upTo: null, count: 0 }
    ])
  })

  it("shows how old entries were when they were written, and how soon they were seen, in the last half minute [LF-34]", () => {
    const seen = (counts: ReadonlyArray<number>) => ({
      writtenAges: { bounds: [1, 5, 6], counts, sum: 0 },
      watchDelays: { bounds: [1, 2, 8], counts, sum: 0 }
    })
    const point = (...readings: ReadonlyArray<Reading.Reading>) => make(readings).point

    assert.deepInclude(point(at(0), at(1)), { writtenAge: null, watchDelay: null })
    assert.deepInclude(point(at(0), at(1, seen([0, 0, 10, 0]))), { writtenAge: 5.95, watchDelay: 7.7 })
    const before = seen([0, 0, 10, 0])
    assert.deepInclude(point(at(0, before), at(1, seen([10, 0, 10, 0]))), { writtenAge: 0.95, watchDelay: 0.95 })
    assert.deepInclude(point(at(0, before), at(31, before)), { writtenAge: null, watchDelay: null })
  })

  it("finds quantiles between the bounds, and none above the last", () => {
    const bounds = [10, 20]

    assert.strictEqual(Overview.quantile({ bounds, counts: [0, 0, 0] }, 0.5), null)
    assert.strictEqual(Overview.quantile({ bounds, counts: [10, 0, 0] }, 0.5), 5)
    assert.strictEqual(Overview.quantile({ bounds, counts: [5, 5, 0] }, 0.75), 15)
    assert.strictEqual(Overview.quantile({ bounds, counts: [0, 0, 3] }, 0.5), 20)
  })
})
