/**
 * The metrics of batchers, under a prefix and attributes of the owner's choice.
 *
 * - They are in the metric registry of the fiber that makes the batcher. Counters and gauges are read from the batcher when
 *   somebody reads them, so that they cost nothing while updates are added.
 * - At any time `accepted = written + merged + lost + queued + pending + in flight`.
 * - Batchers that share registry, prefix and attributes add up, the gauges included; that is logged as a warning.
 */
import { Context, Duration, Effect, Metric, type Scope } from "effect"
import { byLabel, onDemand } from "../domain/Counters.ts"
import type { DropReason, LossReason } from "./BatcherErrors.ts"
import type { FlushReason, Written } from "./BatcherObserver.ts"
import type { Accounting, Ledger } from "./internal/ledger.ts"

/** The prefix and the attributes of metrics. */
export interface Options {
  /** The prefix of each metric's name, for example `audit`. */
  readonly prefix: string
  /** Attributes of each metric; different ones keep the metrics of two batchers apart. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

const flushReasons = ["capacity", "scheduled", "manual", "shutdown"] as const satisfies ReadonlyArray<FlushReason>
const dropReasons = ["full", "quota", "closed", "nested"] as const satisfies ReadonlyArray<DropReason>
const lossReasons = [
  "write_failed",
  "rejected",
  "given_up",
  "shutdown",
  "evicted",
  "defect"
] as const satisfies ReadonlyArray<LossReason | "rejected">

/** The names of the metrics behind the prefix, and what they are. */
const names = {
  accepted: ["accepted_total", "Updates accepted."],
  merged: ["merged_total", "Accepted updates that merged into others."],
  written: ["written_total", "Updates written."],
  retained: ["retained_total", "Updates put back after a failed write, once per failure."],
  failures: ["failed_writes_total", "Batches of which a write failed."],
  lost: ["lost_total", "Updates that were accepted and will never be written, by reason."],
  dropped: ["dropped_total", "Updates that were not accepted, by reason."],
  queued: ["queue_depth", "Updates waiting to be merged."],
  pending: ["pending", "Updates merged and waiting for their batch."],
  inFlight: ["in_flight", "Updates being written."],
  batches: ["batches_total", "Batches written, by trigger."],
  batchSize: ["batch_size", "Updates per batch that was written."],
  flushDuration: ["flush_duration_seconds", "Time to write a batch, by trigger."]
} as const

/** Names and descriptions of the metrics, for owners whose dashboards know others. */
export type Names = { readonly [Name in keyof typeof names]: readonly [name: string, description: string] }

const boundaries = {
  batchSize: [10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 1_000, 2_000],
  flushDuration: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
}

/**
 * Defines the metrics of an owner, and returns them so that they can be read. A batcher shows them when it is made with
 * them; names of one's own replace those behind the prefix.
 *
 * @example
 * ```ts
 * import { Console, Effect, Metric } from "effect"
 * import { Accumulator, Batcher, BatcherMetrics } from "metadata-batcher"
 *
 * const metrics = BatcherMetrics.define({ prefix: "audit", attributes: { region: "eu" } })
 *
 * const program = Effect.gen(function* () {
 *   const audit = yield* Batcher.make({ accumulator: Accumulator.fifo<string>(), write: () => Effect.void, metrics })
 *   yield* audit.add(["sign in", "sign out"])
 *   yield* audit.flush
 *   const { count } = yield* Metric.value(metrics.written)
 *   yield* Console.log(`${count} written`)
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * // Output:
 * // 2 written
 * ```
 */
export const define = (
  { attributes = {}, prefix }: Options,
  ownNames: Partial<Names> = {},
  batchSizes: ReadonlyArray<number> = boundaries.batchSize
) => {
  const of: Names = { ...names, ...ownNames }
  const named = <Name extends keyof Names>(name: Name) => ({
    name: `${prefix}_${of[name][0]}`,
    options: { description: of[name][1], attributes }
  })
  const counter = (name: keyof Names) => {
    const { name: full, options } = named(name)
    return Metric.counter(full, { ...options, incremental: true })
  }
  const gauge = (name: keyof Names) => {
    const { name: full, options } = named(name)
    return Metric.gauge(full, options)
  }
  const histogram = (name: keyof Names, values: ReadonlyArray<number>) => {
    const { name: full, options } = named(name)
    return Metric.histogram(full, { ...options, boundaries: Metric.boundariesFromIterable(values) })
  }
  return {
    accepted: counter("accepted"),
    merged: counter("merged"),
    written: counter("written"),
    retained: counter("retained"),
    failures: counter("failures"),
    lost: byLabel(counter("lost"), "reason", lossReasons),
    dropped: byLabel(counter("dropped"), "reason", dropReasons),
    queued: gauge("queued"),
    pending: gauge("pending"),
    inFlight: gauge("inFlight"),
    batches: byLabel(counter("batches"), "reason", flushReasons),
    batchSize: histogram("batchSize", batchSizes),
    flushDuration: byLabel(histogram("flushDuration", boundaries.flushDuration), "reason", flushReasons),
    prefix,
    /** Batchers with an equal identity in one registry add up. */
    identity: JSON.stringify([prefix, of.accepted[0], Object.entries(attributes).sort()])
  }
}

/** The metrics of an owner, as {@link define} returns them. */
export type Metrics = ReturnType<typeof define>

/** The batchers that share a registry and an identity. */
class Group {
  readonly #open = new Set<() => Accounting>()
  /** The totals of closed batchers. */
  #closed: Accounting | undefined

  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  open(accounting: () => Accounting): void {
    this.#open.add(accounting)
  }

  close(accounting: () => Accounting, ledger: Ledger): void {
    this.#open.delete(accounting)
    this.#closed = this.#closed === undefined ? accounting() : add(this.#closed, accounting())
    ledger.onLateDrop = (reason, count) => {
      const { dropped } = this.#closed!
      this.#closed = { ...this.#closed!, dropped: { ...dropped, [reason]: dropped[reason] + count } }
    }
  }

  sum(of: (accounting: Accounting) => number): number {
    let sum = this.#closed === undefined ? 0 : of(this.#closed)
    for (const accounting of this.#open) sum += of(accounting())
    return sum
  }
}

/** Adds accounts up, place by place. */
const add = <Accounts extends object>(one: Accounts, other: Accounts): Accounts =>
  Object.fromEntries(
    Object.entries(one).map(([name, value]) => {
      const otherValue = (other as Record<string, unknown>)[name]
      return [name, typeof value === "number" ? value + (otherValue as number) : add(value, otherValue)]
    })
  ) as Accounts

const groups = new WeakMap<Metric.MetricRegistry, Map<string, Group>>()

type Counter = Metric.Metric<number, Metric.CounterState<number>>

const showCount = (
  context: Context.Context<never>,
  group: Group,
  metric: Counter,
  of: (accounting: Accounting) => number
) => onDemand(metric, context, () => ({ count: group.sum(of), incremental: true }))

const groupOf = (context: Context.Context<never>, metrics: Metrics): Group => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const known = groups.get(registry) ?? new Map<string, Group>()
  groups.set(registry, known)
  const found = known.get(metrics.identity)
  if (found !== undefined) return found
  const group = new Group()
  known.set(metrics.identity, group)
  const count = (metric: Counter, of: (accounting: Accounting) => number) => showCount(context, group, metric, of)
  const show = (metric: Metric.Metric<number, Metric.GaugeState<number>>, of: (accounting: Accounting) => number) =>
    onDemand(metric, context, () => ({ value: group.sum(of) }))
  count(metrics.accepted, ({ accepted }) => accepted)
  count(metrics.merged, ({ merged }) => merged)
  count(metrics.written, ({ written }) => written)
  count(metrics.retained, ({ retained }) => retained)
  count(metrics.failures, ({ failures }) => failures)
  for (const reason of lossReasons) count(metrics.lost[reason], ({ lost }) => lost[reason])
  for (const reason of dropReasons) count(metrics.dropped[reason], ({ dropped }) => dropped[reason])
  show(metrics.queued, ({ queued }) => queued)
  show(metrics.pending, ({ pending }) => pending)
  show(metrics.inFlight, ({ inFlight }) => inFlight)
  for (const reason of flushReasons) metrics.batches[reason].updateUnsafe(0, context)
  return group
}

/**
 * Shows updates that were not accepted as one counter, beside those by reason.
 *
 * @internal
 */
export const showDropped = (context: Context.Context<never>, metrics: Metrics, metric: Counter) =>
  showCount(context, groupOf(context, metrics), metric, ({ dropped }) =>
    dropReasons.reduce((sum, reason) => sum + dropped[reason], 0)
  )

/**
 * Records the batches that were written.
 *
 * @internal
 */
export interface Recorder {
  readonly onWritten: (flush: Omit<Written<unknown>, "updates">) => void
}

/**
 * Shows the accounts of a batcher for as long as the scope is open, and keeps their totals afterwards.
 *
 * @internal
 */
export const register = (
  metrics: Metrics,
  accounting: () => Accounting,
  ledger: Ledger
): Effect.Effect<Recorder, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const group = groupOf(context, metrics)
    if (!group.isEmpty) {
      yield* Effect.logWarning("a second batcher reports into the same metrics: their figures are added up").pipe(
        Effect.annotateLogs({ prefix: metrics.prefix })
      )
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => group.open(accounting)),
      () => Effect.sync(() => group.close(accounting, ledger))
    )
    return {
      onWritten: ({ count, elapsed, reason }) => {
        metrics.batchSize.updateUnsafe(count, context)
        metrics.batches[reason].updateUnsafe(1, context)
        metrics.flushDuration[reason].updateUnsafe(Duration.toSeconds(elapsed), context)
      }
    }
  })
