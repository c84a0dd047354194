/** Counts what becomes of the workers of a service; at zero in a service of one process. */
import { type Effect, Metric } from "effect"
import { counter, fromZero } from "../domain/Counters.ts"
import * as Batching from "../metadata/MetadataBatcherMetrics.ts"

/** Workers that ended while the service went on. */
export const ended = counter("metadata_batcher_ended_workers_total", "Workers that ended while the service went on.")

/** Entries that a worker had accepted and not written when it was killed, as far as it had told of them. */
export const lostKeys = Metric.counter(Batching.lostKeys.shutdown.id, {
  description: Batching.lostKeys.shutdown.description,
  attributes: { reason: "worker_killed" },
  incremental: true
})

/** Shows the counters from zero on. */
export const register: Effect.Effect<void> = fromZero([ended, lostKeys])
