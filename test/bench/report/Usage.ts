/** Figures that a server of reports prints about itself. */
import { Effect, Schema } from "effect"
import * as Metrics from "../../../src/metadata/MetadataBatcherMetrics.ts"

export const path = "/usage"

/** Since the start of the process. */
export const Usage = Schema.Struct({
  cpuMillis: Schema.Finite,
  /** Entries that its batcher has accepted. */
  accepted: Schema.Int,
  dropped: Schema.Int
})
export type Usage = typeof Usage.Type

/** The usage of this process. */
export const current: Effect.Effect<Usage> = Effect.map(Effect.context<never>(), (context) => {
  const { system, user } = process.cpuUsage()
  return {
    cpuMillis: (system + user) / 1_000,
    accepted: Metrics.acceptedKeys.valueUnsafe(context).count,
    dropped: Metrics.droppedKeys.valueUnsafe(context).count
  }
})

export const memoryPath = "/memory"

/** The memory of the process after a full collection; the heap with the buffers outside of it. */
export const Memory = Schema.Struct({ residentBytes: Schema.Int, heapBytes: Schema.Int })
export type Memory = typeof Memory.Type

/** The memory of this process, for one that may collect its garbage. */
export const memory: Effect.Effect<Memory> = Effect.sync(() => {
  globalThis.gc?.()
  const { external, heapUsed, rss } = process.memoryUsage()
  return { residentBytes: rss, heapBytes: heapUsed + external }
})
