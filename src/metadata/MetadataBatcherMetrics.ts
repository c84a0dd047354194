/**
 * What a metadata batcher counts.
 *
 * The first seven carry the names, labels and buckets of the original, so that its dashboards and alerts go on working;
 * the others are this project's own in the same scheme. All are in the metric registry of the fiber that builds the
 * batcher. Batchers that share a registry add up, the gauges included.
 */
import { Context, Effect, Metric, type Scope } from "effect"
import type { FlushReason, Sizes } from "../batcher/Batcher.ts"

const prefix = "coderd_agentapi_metadata"

const counter = (name: string, description: string) =>
  Metric.counter(`${prefix}_${name}`, { description, incremental: true })

const histogram = (name: string, description: string, boundaries: ReadonlyArray<number>) =>
  Metric.histogram(`${prefix}_${name}`, { description, boundaries: Metric.boundariesFromIterable(boundaries) })

const gauge = (name: string, description: string) => Metric.gauge(`${prefix}_${name}`, { description })

// one handle for each value of a label, made once: a handle finds its series faster than its attributes are merged
const byReason = <Input, State, const Reasons extends ReadonlyArray<string>>(
  metric: Metric.Metric<Input, State>,
  reasons: Reasons
): { readonly [Reason in Reasons[number]]: Metric.Metric<Input, State> } =>
  Object.fromEntries(reasons.map((reason) => [reason, Metric.withAttributes(metric, { reason })])) as {
    [Reason in Reasons[number]]: Metric.Metric<Input, State>
  }

const flushReasons = ["capacity", "scheduled", "manual", "shutdown"] as const satisfies ReadonlyArray<FlushReason>

const utilizations = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 40, 80, 160]

export const batchUtilization = histogram(
  "batch_utilization",
  "Keys of one agent in a batch that is about to be written.",
  utilizations
)

export const batchSize = histogram(
  "batch_size",
  "Entries of a batch that was written.",
  [10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500]
)

export const flushDuration = byReason(
  histogram(
    "flush_duration_seconds",
    "Time to write a batch and to announce its agents, by what caused the flush.",
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
  ),
  flushReasons
)

export const batches = byReason(counter("batches_total", "Batches written, by what caused the flush."), flushReasons)

export const droppedKeys = counter("dropped_keys_total", "Entries that were not accepted.")

export const flushed = counter("flushed_total", "Entries written.")

export const publishErrors = counter("publish_errors_total", "Announcements of changed agents that failed.")

export const acceptedKeys = counter("accepted_keys_total", "Entries accepted.")

export const droppedKeysByReason = byReason(
  counter("dropped_keys_by_reason_total", "Entries that were not accepted, because there was no room or no service."),
  ["full", "closed"]
)

export const lostKeys = byReason(
  counter("lost_keys_total", "Entries that were accepted and never written, by what they were lost to."),
  ["write_failed", "rejected", "shutdown"]
)

export const retainedKeys = counter("retained_keys_total", "Entries put back after a failed write, once per failure.")

export const flushFailures = byReason(
  counter("flush_failures_total", "Batches of which a write failed, by what the store answered."),
  ["rejected", "unavailable", "cancelled", "defect"]
)

export const pendingKeys = gauge("pending_keys", "Entries merged and waiting for their batch.")

export const queueDepth = gauge("queue_depth", "Entries waiting to be merged.")

const counters = [
  ...[batches, droppedKeysByReason, lostKeys, flushFailures].flatMap((metric) => Object.values(metric)),
  droppedKeys,
  flushed,
  publishErrors,
  retainedKeys
]

/** What batchers of one registry share. */
interface Shared {
  readonly sizes: Set<() => Sizes>
  /** How many agents had so many keys in a batch, by the number of keys. */
  readonly utilization: Array<number>
  accepted: number
}

const live = new WeakMap<Metric.MetricRegistry, Shared>()

const sharedOf = (context: Context.Context<never>): Shared => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const known = live.get(registry)
  if (known !== undefined) return known
  const shared: Shared = { sizes: new Set(), utilization: [], accepted: 0 }
  live.set(registry, shared)
  const sum = (of: (sizes: Sizes) => number) => ({
    get: () => ({ value: [...shared.sizes].reduce((total, sizes) => total + of(sizes()), 0) }),
    ...readOnly
  })
  Metric.registerUnsafe(
    pendingKeys,
    context,
    sum((sizes) => sizes.pending)
  )
  Metric.registerUnsafe(
    queueDepth,
    context,
    sum((sizes) => sizes.queued)
  )
  Metric.registerUnsafe(batchUtilization, context, { get: () => histogramOf(shared.utilization), ...readOnly })
  Metric.registerUnsafe(acceptedKeys, context, {
    get: () => ({ count: shared.accepted, incremental: true }),
    ...readOnly
  })
  for (const metric of counters) metric.updateUnsafe(0, context)
  return shared
}

const readOnly = { update: () => {}, modify: () => {} }

/** The histogram of whole numbers, from how often each occurred. */
const histogramOf = (occurrences: ReadonlyArray<number>): Metric.HistogramState => {
  const values = Object.keys(occurrences).map(Number)
  const total = (of: (value: number) => number) =>
    values.reduce((total, value) => total + of(value) * occurrences[value]!, 0)
  return {
    buckets: utilizations.map((boundary) => [boundary, total((value) => (value <= boundary ? 1 : 0))]),
    count: total(() => 1),
    min: Math.min(...values),
    max: Math.max(...values),
    sum: total((value) => value)
  }
}

/** What is counted so often that it is counted by hand: at a tenth of the cost, and read when somebody asks. */
export interface Tally {
  readonly accepted: (keys: number) => void
  /** An agent had so many keys in a batch. */
  readonly utilization: (keys: number) => void
}

/**
 * Shows the counters from zero on and, for as long as the scope is open, adds what `sizes` answers to the gauges, which
 * ask when they are read.
 */
export const register = (sizes: () => Sizes): Effect.Effect<Tally, never, Scope.Scope> =>
  Effect.gen(function* () {
    const shared = sharedOf(yield* Effect.context<never>())
    if (shared.sizes.size > 0) {
      yield* Effect.logWarning("a second metadata batcher reports into the same metrics: their figures are added up")
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => shared.sizes.add(sizes)),
      () => Effect.sync(() => shared.sizes.delete(sizes))
    )
    const { utilization } = shared
    return {
      accepted: (keys) => {
        shared.accepted += keys
      },
      utilization: (keys) => {
        utilization[keys] = (utilization[keys] ?? 0) + 1
      }
    }
  })
