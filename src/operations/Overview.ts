/**
 * Computes the overview of the service, which an operator looks at first, from readings of its metrics.
 *
 * - Rates are averages over the last {@link rateSeconds}, from one increase to another, so that a flush more or less does
 *   not change them.
 * - Sizes and durations of flushes, and recent drops, losses and failures, are those of the last {@link recentSeconds}.
 * - Saved statements are the difference between one statement per accepted update and the statements that were made.
 * - The service needs attention while it is not ready or does not listen, after recent drops and losses, and for
 *   {@link blipSeconds} after a failure that lost nothing.
 */
import { Schema } from "effect"
import { Figures, Work } from "./ReplicaFigures.ts"
import { type Distribution, flushReasons, incidents, type Reading } from "./Reading.ts"

/** The seconds of which a rate is the average. */
export const rateSeconds = 30

/** The seconds that count as recent. */
export const recentSeconds = 300

/** The seconds for which a failure that lost nothing needs attention. */
export const blipSeconds = 30

/** The point of a plot, one per second. */
export const Point = Schema.Struct({
  /** Milliseconds since the epoch. */
  at: Schema.Finite,
  agents: Schema.Finite,
  /** Updates accepted per second. */
  updates: Schema.Finite,
  /** Rows written per second. */
  rows: Schema.Finite,
  /** Statements of batches per second. */
  statements: Schema.Finite,
  notifies: Schema.Finite,
  pending: Schema.Finite,
  queued: Schema.Finite,
  /** The 95th percentile of the age of the oldest entry of a batch when it is written, in seconds; null without one. */
  writtenAge: Schema.NullOr(Schema.Finite),
  /** The 95th percentile of the time from a report to the event of a watcher, in seconds; null without one. */
  watchDelay: Schema.NullOr(Schema.Finite)
})
export type Point = typeof Point.Type

const Flushes = Schema.Struct({
  reason: Schema.Literals(flushReasons),
  /** Since the start. */
  total: Schema.Finite,
  /** The mean of the recent ones in seconds; null when there is none. */
  mean: Schema.NullOr(Schema.Finite),
  /** The 95th percentile of the recent ones in seconds, at most the last bound; null when there is none. */
  p95: Schema.NullOr(Schema.Finite),
  /** Whether the percentile is beyond the last bound, which then stands for it. */
  isP95Least: Schema.Boolean
})

const Incident = Schema.Struct({
  label: Schema.String,
  /** Whether it lost data. */
  isLoss: Schema.Boolean,
  total: Schema.Finite,
  recent: Schema.Finite
})

export const Overview = Schema.Struct({
  point: Point,
  /** In seconds. */
  uptime: Schema.Finite,
  /** The problems in words; empty when the service is healthy. */
  problems: Schema.Array(Schema.String),
  totals: Schema.Struct({
    updates: Schema.Finite,
    rows: Schema.Finite,
    statements: Schema.Finite,
    notifies: Schema.Finite,
    /** Statements that batching saved. */
    saved: Schema.Finite
  }),
  /** The recent batches by the upper bound of their size; null is no bound. */
  sizes: Schema.Array(Schema.Struct({ upTo: Schema.NullOr(Schema.Finite), count: Schema.Finite })),
  flushes: Schema.Array(Flushes),
  incidents: Schema.Array(Incident),
  /** All replicas by name, this one among them, and their sums. */
  fleet: Schema.Struct({
    replicas: Schema.Array(Schema.Struct({ ...Figures.fields, isOwn: Schema.Boolean })),
    sums: Work
  })
})
export type Overview = typeof Overview.Type

/**
 * Returns the overview of the last of at least one reading. `problem` is why the service is not ready, and `startedAt` the
 * time of its start.
 */
export const make = (
  readings: ReadonlyArray<Reading>,
  options: {
    readonly problem: string | undefined
    readonly startedAt: number
    /** The name of this replica. */
    readonly name: string
    /** The figures of the other replicas. */
    readonly others: ReadonlyArray<Figures>
  }
): Overview => {
  const last = readings.at(-1)!
  const recent = since(readings, last.at - recentSeconds * 1_000)
  const flushes = flushReasons.map((reason) => {
    const { batches, durations } = last.flushes[reason]
    const window = difference(durations, recent.flushes[reason].durations)
    const p95 = quantile(window, 0.95)
    const isP95Least = p95 !== null && p95 === window.bounds.at(-1) && window.counts[window.bounds.length]! > 0
    return { reason, total: batches, mean: mean(window), p95, isP95Least }
  })
  const blip = since(readings, last.at - blipSeconds * 1_000)
  const happened = incidents.map(({ isLoss, label }) => {
    const total = last.incidents[label] ?? 0
    return { label, isLoss, total, recent: total - (recent.incidents[label] ?? 0) }
  })
  const statements = statementsOf(last)
  const point = pointOf(readings, last)
  const uptime = Math.floor((last.at - options.startedAt) / 1_000)
  const problems = [
    ...(options.problem === undefined ? [] : [options.problem]),
    ...(last.isListening ? [] : ["changes are not heard: the listening connection is away"]),
    ...(last.storeNodesAway > 0
      ? [`values are not written: ${last.storeNodesAway} of the metadata store's servers away`]
      : []),
    ...happened
      .filter(({ isLoss, label, recent, total }) => (isLoss ? recent : total - (blip.incidents[label] ?? 0)) > 0)
      .map(({ label, recent }) => `${recent} ${label}`)
  ]
  const { agents, pending, rows, updates } = point
  const own = { name: options.name, uptime, agents, updates, rows, pending, problems }
  return {
    point,
    uptime,
    problems,
    totals: {
      updates: last.updates,
      rows: last.rows,
      statements,
      notifies: last.notifies,
      saved: Math.max(0, last.updates - last.pending - last.queued - statements)
    },
    sizes: histogram(difference(last.sizes, recent.sizes)),
    flushes,
    incidents: happened,
    fleet: fleetOf(own, options.others)
  }
}

const fleetOf = (own: Figures, others: ReadonlyArray<Figures>): Overview["fleet"] => {
  const all = [own, ...others]
  const sum = (of: (figures: Figures) => number) => round(all.reduce((total, figures) => total + of(figures), 0))
  return {
    replicas: all
      .map((figures) => ({ ...figures, isOwn: figures === own }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    sums: {
      agents: sum(({ agents }) => agents),
      updates: sum(({ updates }) => updates),
      rows: sum(({ rows }) => rows),
      pending: sum(({ pending }) => pending)
    }
  }
}

const statementsOf = ({ flushes }: Reading) => flushReasons.reduce((sum, reason) => sum + flushes[reason].batches, 0)

const pointOf = (readings: ReadonlyArray<Reading>, last: Reading): Point => {
  const first = since(readings, last.at - rateSeconds * 1_000)
  const seconds = Math.max(1, (last.at - first.at) / 1_000)
  const rate = (of: (reading: Reading) => number) =>
    round(burstRate(readings, first, of) ?? (of(last) - of(first)) / seconds)
  const p95 = (of: (reading: Reading) => Distribution) => {
    const seconds = quantile(difference(of(last), of(first)), 0.95)
    return seconds === null ? null : round(seconds)
  }
  return {
    at: last.at,
    agents: last.agents,
    updates: rate(({ updates }) => updates),
    rows: rate(({ rows }) => rows),
    statements: rate(statementsOf),
    notifies: rate(({ notifies }) => notifies),
    pending: last.pending,
    queued: last.queued,
    writtenAge: p95(({ writtenAges }) => writtenAges),
    watchDelay: p95(({ watchDelays }) => watchDelays)
  }
}

/**
 * Returns the growth of a count a second from the last increase before `first` to the last one of all, or undefined without
 * two of them. A window that begins and ends with an increase holds whole bursts. A silence that is longer than any
 * between two bursts counts as well.
 */
const burstRate = (readings: ReadonlyArray<Reading>, first: Reading, of: (reading: Reading) => number) => {
  const increases = readings.filter((one, index) => index > 0 && of(one) > of(readings[index - 1]!))
  const start = increases.findLastIndex(({ at }) => at <= first.at)
  const window = start === -1 ? [] : increases.slice(start)
  if (window.length < 2) return undefined
  const [begin, end] = [window[0]!, window.at(-1)!]
  const longest = Math.max(...window.map(({ at }, index) => at - (window[index - 1] ?? begin).at))
  const silence = readings.at(-1)!.at - end.at
  return (1_000 * (of(end) - of(begin))) / (end.at - begin.at + Math.max(0, silence - longest))
}

/** Returns the first reading that is not before a time. */
const since = (readings: ReadonlyArray<Reading>, at: number): Reading => readings.find((one) => one.at >= at)!

const round = (value: number) => Math.round(value * 100) / 100

// -----------------------------------------------------------------------------
// distributions
// -----------------------------------------------------------------------------

const difference = (later: Distribution, earlier: Distribution): Distribution => ({
  bounds: later.bounds,
  counts: later.counts.map((count, index) => count - (earlier.counts[index] ?? 0)),
  sum: later.sum - earlier.sum
})

const size = ({ counts }: Pick<Distribution, "counts">) => counts.reduce((sum, count) => sum + count, 0)

const mean = (distribution: Distribution): number | null => {
  const total = size(distribution)
  return total === 0 ? null : distribution.sum / total
}

/**
 * Returns the value that a part of all values does not exceed, or null without values. As in Prometheus, values lie evenly
 * between two bounds, and the result is at most the last bound.
 */
export const quantile = (distribution: Pick<Distribution, "bounds" | "counts">, part: number): number | null => {
  const { bounds, counts } = distribution
  const rank = part * size(distribution)
  if (rank === 0) return null
  let below = 0
  for (const [index, count] of counts.entries()) {
    const upper = bounds[index]
    if (upper === undefined) break
    const lower = bounds[index - 1] ?? 0
    if (below + count >= rank) return lower + ((upper - lower) * (rank - below)) / count
    below += count
  }
  return bounds.at(-1) ?? null
}

const histogram = ({ bounds, counts }: Distribution) =>
  counts.map((count, index) => ({ upTo: bounds[index] ?? null, count }))
