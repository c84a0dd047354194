/**
 * What the metrics of this process say at one time, read from the handles that `/metrics` shows.
 */
import { Effect, type Metric } from "effect"
import * as AgentMetrics from "../agentapi/AgentMetrics.ts"
import * as StatsMetrics from "../usage/StatsMetrics.ts"
import * as Batching from "../metadata/MetadataBatcherMetrics.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"

/** How many values were at most each of the bounds, one more count for those above. Counts are not cumulative. */
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
  readonly updates: number
  readonly rows: number
  readonly notifies: number
  readonly pending: number
  readonly queued: number
  readonly sizes: Distribution
  readonly flushes: { readonly [Reason in FlushReason]: FlushReading }
  /** What was dropped, lost or had to be tried again, by the label of its kind. */
  readonly incidents: Readonly<Record<string, number>>
}

type Counter = Metric.Metric<number, Metric.CounterState<number>>

/** What must stay at zero, and whether it costs data. The labels say what there is a number of. */
export const incidents: ReadonlyArray<{
  readonly label: string
  readonly isLoss: boolean
  readonly metric: Counter
}> = [
  { label: "updates dropped: no room", isLoss: true, metric: Batching.droppedKeysByReason.full },
  { label: "updates dropped: closing", isLoss: true, metric: Batching.droppedKeysByReason.closed },
  { label: "updates lost: write failed", isLoss: true, metric: Batching.lostKeys.write_failed },
  { label: "updates lost: refused by the database", isLoss: true, metric: Batching.lostKeys.rejected },
  { label: "updates lost: shutdown", isLoss: true, metric: Batching.lostKeys.shutdown },
  { label: "statistics dropped: no room", isLoss: true, metric: StatsMetrics.dropped.full },
  { label: "statistics dropped: closing", isLoss: true, metric: StatsMetrics.dropped.closed },
  { label: "statistics lost: refused by the database", isLoss: true, metric: StatsMetrics.lost.rejected },
  { label: "statistics lost: shutdown", isLoss: true, metric: StatsMetrics.lost.shutdown },
  { label: "announcements that failed", isLoss: true, metric: Batching.publishErrors },
  { label: "flushes that failed: database away", isLoss: false, metric: Batching.flushFailures.unavailable },
  { label: "flushes that failed: row refused", isLoss: false, metric: Batching.flushFailures.rejected },
  { label: "flushes that failed: cancelled", isLoss: false, metric: Batching.flushFailures.cancelled },
  { label: "flushes that failed: defect", isLoss: false, metric: Batching.flushFailures.defect },
  { label: "listening connections lost", isLoss: false, metric: PubSubMetrics.disconnections }
]

/** Reads all at once: nothing else runs in between. */
export const read = (at: number): Effect.Effect<Reading> =>
  Effect.map(Effect.context<never>(), (context) => {
    const count = (metric: Counter) => metric.valueUnsafe(context).count
    const gauge = (metric: Metric.Metric<number, Metric.GaugeState<number>>) => metric.valueUnsafe(context).value
    const flush = (reason: FlushReason): FlushReading => ({
      batches: count(Batching.batches[reason]),
      durations: distribution(Batching.flushDuration[reason].valueUnsafe(context))
    })
    return {
      at,
      agents: gauge(AgentMetrics.connectedAgents),
      isListening: gauge(PubSubMetrics.connected) > 0,
      updates: count(Batching.acceptedKeys),
      rows: count(Batching.flushed),
      notifies: count(PubSubMetrics.publishes.succeeded),
      pending: gauge(Batching.pendingKeys),
      queued: gauge(Batching.queueDepth),
      sizes: distribution(Batching.batchSize.valueUnsafe(context)),
      flushes: {
        capacity: flush("capacity"),
        scheduled: flush("scheduled"),
        manual: flush("manual"),
        shutdown: flush("shutdown")
      },
      incidents: Object.fromEntries(incidents.map(({ label, metric }) => [label, count(metric)]))
    }
  })

// the last bound of a histogram is infinity
const distribution = ({ buckets, sum }: Metric.HistogramState): Distribution => ({
  bounds: buckets.slice(0, -1).map(([bound]) => bound),
  counts: buckets.map(([, count], index) => count - (buckets[index - 1]?.[1] ?? 0)),
  sum
})
