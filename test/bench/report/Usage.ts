/** What a server of reports tells about itself. */
import { Effect, Schema } from "effect"
import * as Metrics from "../../../src/batcher/MetadataBatcherMetrics.ts"

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
