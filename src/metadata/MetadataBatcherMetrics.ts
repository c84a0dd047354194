/**
 * The metrics of a metadata batcher.
 *
 * The first seven carry the names, labels and buckets of the original, so that its dashboards and alerts go on working;
 * the others are this project's own in the same scheme. They are {@link BatcherMetrics} and behave like them: metadata
 * batchers that share a registry, a prefix and attributes add up.
 *
 * @example
 * ```ts
 * import { Console, DateTime, Effect, Layer, Metric } from "effect"
 * import { Ids, MetadataBatcher, MetadataBatcherMetrics, MetadataStore, PubSub } from "metadata-batcher"
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = Effect.gen(function* () {
 *   const batcher = yield* MetadataBatcher.MetadataBatcher
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 *   yield* batcher.flush
 *   const { count } = yield* Metric.value(MetadataBatcherMetrics.flushed)
 *   yield* Console.log(`${count} written`)
 * })
 *
 * const Memory = Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory)
 * await Effect.runPromise(
 *   program.pipe(
 *     Effect.provide(Layer.provide(MetadataBatcher.layer(), Memory)),
 *     // a registry of its own, so that it counts this program alone
 *     Effect.provideService(Metric.MetricRegistry, new Map())
 *   )
 * )
 * // Output:
 * // 1 written
 * ```
 */
import { Context, Effect, Metric, type Scope } from "effect"
import { byLabel, fromZero, onDemand } from "../domain/Counters.ts"
import * as BatcherMetrics from "../batcher/BatcherMetrics.ts"

/** The prefix of the original. */
export const defaultPrefix = "coderd_agentapi_metadata"

const names: BatcherMetrics.Names = {
  batchSize: ["batch_size", "Entries of a batch that was written."],
  flushDuration: [
    "flush_duration_seconds",
    "Time to write a batch and to announce its agents, by trigger of the flush."
  ],
  batches: ["batches_total", "Batches written, by trigger of the flush."],
  written: ["flushed_total", "Entries written."],
  accepted: ["accepted_keys_total", "Entries accepted."],
  merged: ["merged_keys_total", "Accepted entries that a newer one of the same key replaced, or that were older."],
  dropped: ["dropped_keys_by_reason_total", "Entries that were not accepted, because there was no room or no service."],
  lost: ["lost_keys_total", "Entries that were accepted and never written, by reason."],
  retained: ["retained_keys_total", "Entries put back after a failed write, once per failure."],
  failures: ["failed_writes_total", "Batches of which a write failed."],
  pending: ["pending_keys", "Entries merged and waiting for their batch."],
  queued: ["queue_depth", "Entries waiting to be merged."],
  inFlight: ["in_flight_keys", "Entries being written."]
}

const batchSizes = [10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500]

/** In seconds, finer around the default interval of flushes. */
const ages = [0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 300]

const utilizations = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 40, 80, 160]

/** The metrics under a prefix and with attributes. */
export const define = (options: BatcherMetrics.Options) => {
  const { attributes = {}, prefix } = options
  const counter = (name: string, description: string) =>
    Metric.counter(`${prefix}_${name}`, { description, attributes, incremental: true })
  return {
    batcher: BatcherMetrics.define(options, names, batchSizes),
    batchUtilization: Metric.histogram(`${prefix}_batch_utilization`, {
      description: "Keys of one agent in a batch that is about to be written.",
      attributes,
      boundaries: Metric.boundariesFromIterable(utilizations)
    }),
    writtenAge: Metric.histogram(`${prefix}_written_age_seconds`, {
      description: "Seconds from the collection of the oldest entry of a batch to the end of its write.",
      attributes,
      boundaries: Metric.boundariesFromIterable(ages)
    }),
    droppedKeys: counter("dropped_keys_total", "Entries that were not accepted."),
    publishErrors: counter("publish_errors_total", "Announcements of changed agents that failed."),
    flushFailures: byLabel(
      counter("flush_failures_total", "Batches of which a write failed, by the error of the store."),
      "reason",
      ["rejected", "unavailable", "cancelled", "defect"]
    )
  }
}

/** The metrics of a metadata batcher, as {@link define} returns them. */
export type Metrics = ReturnType<typeof define>

/** The metrics of a batcher that is given no others. */
export const defaults: Metrics = define({ prefix: defaultPrefix })

/** How many keys of one agent a batch has, as a histogram. */
export const batchUtilization = defaults.batchUtilization
/** Seconds from the collection of the oldest entry of a batch to the end of its write, as a histogram. */
export const writtenAge = defaults.writtenAge
/** Entries that were not accepted. */
export const droppedKeys = defaults.droppedKeys
/** Batches of which a write failed, by the error of the store. */
export const flushFailures = defaults.flushFailures
/** Announcements of changed agents that failed. */
export const publishErrors = defaults.publishErrors
/** Entries accepted. */
export const acceptedKeys = defaults.batcher.accepted
/** Entries of a batch that was written, as a histogram. */
export const batchSize = defaults.batcher.batchSize
/** Batches written, by trigger of the flush. */
export const batches = defaults.batcher.batches
/** Entries that were not accepted, by reason. */
export const droppedKeysByReason = defaults.batcher.dropped
/** Seconds to write a batch and to announce its agents, by trigger of the flush, as histograms. */
export const flushDuration = defaults.batcher.flushDuration
/** Entries being written. */
export const inFlightKeys = defaults.batcher.inFlight
/** Entries that were accepted and never written, by reason. */
export const lostKeys = defaults.batcher.lost
/** Accepted entries that a newer one of the same key replaced, or that were older. */
export const mergedKeys = defaults.batcher.merged
/** Entries merged and waiting for their batch. */
export const pendingKeys = defaults.batcher.pending
/** Entries waiting to be merged. */
export const queueDepth = defaults.batcher.queued
/** Entries put back after a failed write, once per failure. */
export const retainedKeys = defaults.batcher.retained
/** Entries written. */
export const flushed = defaults.batcher.written

/** How many agents had so many keys in a batch, by the number of keys; for batchers of one registry. */
type Utilization = Array<number>

const utilizationsOf = new WeakMap<Metric.MetricRegistry, Map<string, Utilization>>()

/**
 * Shows the counters from zero on. Returns how to count the keys of an agent in a batch: that happens so often that it is
 * done by hand, at a tenth of the cost, and read when somebody asks.
 *
 * @internal
 */
export const register = (metrics: Metrics): Effect.Effect<(keys: number) => void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const registry = Context.get(context, Metric.MetricRegistry)
    const known = utilizationsOf.get(registry) ?? new Map<string, Utilization>()
    utilizationsOf.set(registry, known)
    const { identity } = metrics.batcher
    const utilization = known.get(identity) ?? []
    known.set(identity, utilization)
    onDemand(metrics.batchUtilization, context, () => histogramOf(utilization))
    BatcherMetrics.showDropped(context, metrics.batcher, metrics.droppedKeys)
    yield* fromZero([metrics.publishErrors, ...Object.values(metrics.flushFailures)])
    return (keys) => {
      utilization[keys] = (utilization[keys] ?? 0) + 1
    }
  })

/** The histogram of whole numbers, from how often each occurred. */
const histogramOf = (occurrences: Utilization): Metric.HistogramState => {
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
