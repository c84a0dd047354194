/** A reading of the metrics of the service at one time, from the handles that `/metrics` shows. */
import { type Context, Metric } from "effect"
import * as AgentMetrics from "../agentapi/AgentMetrics.ts"
import * as StatsMetrics from "../usage/StatsMetrics.ts"
import * as Batching from "../metadata/MetadataBatcherMetrics.ts"
import * as MetadataStoreMetrics from "../metadata/MetadataStoreMetrics.ts"
import * as FailureMetrics from "../telemetry/FailureMetrics.ts"
import * as PoolMetrics from "../telemetry/PoolMetrics.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"
import * as WorkerMetrics from "../telemetry/WorkerMetrics.ts"
import * as WatchMetrics from "../watch/WatchMetrics.ts"

/** The number of values up to each bound, and above the last one. Counts are not cumulative. */
export interface Distribution {
  readonly bounds: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  readonly sum: number
}

export interface FlushReading {
  readonly batches: number
  /** In seconds. */
  readonly durations: Distribution
}

export const flushReasons = ["capacity", "scheduled", "manual", "shutdown"] as const
export type FlushReason = (typeof flushReasons)[number]

export interface Reading {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly agents: number
  readonly isListening: boolean
  /** The servers of the metadata store that do not respond. */
  readonly storeNodesAway: number
  readonly updates: number
  readonly rows: number
  readonly notifies: number
  readonly pending: number
  readonly queued: number
  readonly sizes: Distribution
  /** In seconds, of the oldest entry of each batch when it is written. */
  readonly writtenAges: Distribution
  /** In seconds, from the collection of a value to the event of a watcher. */
  readonly watchDelays: Distribution
  readonly flushes: { readonly [Reason in FlushReason]: FlushReading }
  /** The counts of {@link incidents}, by label. */
  readonly incidents: Readonly<Record<string, number>>
}

type Gauge = Metric.Metric<number, Metric.GaugeState<number>>
type Counter = Metric.Metric<number, Metric.CounterState<number>>

const countOf = (metric: Counter) => (context: Context.Context<never>) => metric.valueUnsafe(context).count

/** The counters that should stay at zero, and whether they count lost data. A label follows its number. */
export const incidents: ReadonlyArray<{
  readonly label: string
  readonly isLoss: boolean
  readonly count: (context: Context.Context<never>, failures: FailureMetrics.Totals) => number
}> = [
  { label: "updates dropped: no room", isLoss: true, count: countOf(Batching.droppedKeysByReason.full) },
  {
    label: "updates dropped: an agent with too many",
    isLoss: true,
    count: countOf(Batching.droppedKeysByReason.quota)
  },
  { label: "updates dropped: closing", isLoss: true, count: countOf(Batching.droppedKeysByReason.closed) },
  { label: "updates lost: write failed", isLoss: true, count: countOf(Batching.lostKeys.write_failed) },
  { label: "updates lost: refused by the database", isLoss: true, count: countOf(Batching.lostKeys.rejected) },
  { label: "updates lost: no room for their bytes", isLoss: true, count: countOf(Batching.lostKeys.evicted) },
  { label: "updates lost: shutdown", isLoss: true, count: countOf(Batching.lostKeys.shutdown) },
  { label: "updates lost: a worker was killed", isLoss: true, count: countOf(WorkerMetrics.lostKeys) },
  { label: "statistics dropped: no room", isLoss: true, count: countOf(StatsMetrics.batcher.dropped.full) },
  { label: "statistics dropped: closing", isLoss: true, count: countOf(StatsMetrics.batcher.dropped.closed) },
  {
    label: "statistics lost: refused by the database",
    isLoss: true,
    count: countOf(StatsMetrics.batcher.lost.rejected)
  },
  { label: "statistics lost: shutdown", isLoss: true, count: countOf(StatsMetrics.batcher.lost.shutdown) },
  { label: "announcements that failed", isLoss: true, count: countOf(Batching.publishErrors) },
  { label: "flushes that failed: database away", isLoss: false, count: countOf(Batching.flushFailures.unavailable) },
  { label: "flushes that failed: row refused", isLoss: false, count: countOf(Batching.flushFailures.rejected) },
  { label: "flushes that failed: cancelled", isLoss: false, count: countOf(Batching.flushFailures.cancelled) },
  { label: "flushes that failed: defect", isLoss: false, count: countOf(Batching.flushFailures.defect) },
  { label: "operations of the database failed", isLoss: false, count: (_, { store }) => store },
  { label: "operations waited over a second for the database", isLoss: false, count: PoolMetrics.longWaits },
  { label: "calls of agents failed", isLoss: false, count: (_, { calls }) => calls },
  { label: "HTTP requests failed", isLoss: false, count: (_, { requests }) => requests },
  { label: "workers ended", isLoss: false, count: countOf(WorkerMetrics.ended) },
  { label: "listening connections lost", isLoss: false, count: countOf(PubSubMetrics.disconnections) }
]

/** Returns the metrics of a registry, all of one moment. */
export const read = (at: number, context: Context.Context<never>): Reading => {
  const count = (metric: Counter) => metric.valueUnsafe(context).count
  const gauge = (metric: Gauge) => metric.valueUnsafe(context).value
  const flush = (reason: FlushReason): FlushReading => ({
    batches: count(Batching.batches[reason]),
    durations: distribution(Batching.flushDuration[reason].valueUnsafe(context))
  })
  const failures = FailureMetrics.totals(context)
  return {
    at,
    agents: gauge(AgentMetrics.connectedAgents),
    isListening: Math.min(...ofProcesses(PubSubMetrics.connected, context)) > 0,
    storeNodesAway: Math.max(...ofProcesses(MetadataStoreMetrics.nodesAway, context)),
    updates: count(Batching.acceptedKeys),
    rows: count(Batching.flushed),
    notifies: count(PubSubMetrics.publishes.succeeded),
    pending: gauge(Batching.pendingKeys),
    queued: gauge(Batching.queueDepth),
    sizes: distribution(Batching.batchSize.valueUnsafe(context)),
    writtenAges: distribution(Batching.writtenAge.valueUnsafe(context)),
    watchDelays: distribution(WatchMetrics.delay.valueUnsafe(context)),
    flushes: {
      capacity: flush("capacity"),
      scheduled: flush("scheduled"),
      manual: flush("manual"),
      shutdown: flush("shutdown")
    },
    incidents: Object.fromEntries(incidents.map(({ count, label }) => [label, count(context, failures)]))
  }
}

/** Returns the values of a gauge that each process of the service has; zero if none has it. */
const ofProcesses = (gauge: Gauge, context: Context.Context<never>): readonly [number, ...Array<number>] => {
  const [first = 0, ...others] = Metric.snapshotUnsafe(context)
    .filter(({ id }) => id === gauge.id)
    .map(({ state }) => (state as Metric.GaugeState<number>).value)
  return [first, ...others]
}

// the last bound of a histogram is infinity
const distribution = ({ buckets, sum }: Metric.HistogramState): Distribution => ({
  bounds: buckets.slice(0, -1).map(([bound]) => bound),
  counts: buckets.map(([, count], index) => count - (buckets[index - 1]?.[1] ?? 0)),
  sum
})
