/**
 * Collects the statistics that agents report, and writes many in one step.
 *
 * It is a {@link Batcher} and has its guarantees; beyond them:
 *
 * - There is a write every second, and as soon as a batch is full by four fifths.
 * - What could not be written is kept, as long as there is room, and written later: each report once.
 * - In a batch there are 64 types of sessions beside the well-known ones. What is beyond counts as `unknown`.
 * - Closing writes what is kept, within 15 seconds.
 * - Every report that was not kept, or never written, is counted under its reason.
 */
import { Cause, Context, type Duration, Effect, Layer, Metric, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Accumulator from "../batcher/Accumulator.ts"
import * as Batcher from "../batcher/Batcher.ts"
import * as SessionTypes from "./internal/sessionTypes.ts"
import * as Metrics from "./StatsMetrics.ts"
import { type StatsRow, StatsStore } from "./StatsStore.ts"

export interface Options {
  /** Time from the end of a write to the next one. Default 1 second. */
  readonly interval?: Duration.Input | undefined
  /** Reports for which there is room in a batch; with four fifths of them it is written. Default 1 024. */
  readonly size?: number | undefined
  /** Reports that are kept while they cannot be written. Default 10 sizes. */
  readonly maxPending?: number | undefined
  /** Types of sessions in a batch, beside the well-known ones. Default 64. */
  readonly maxSessionTypes?: number | undefined
  /** The longest that the last write may take. Default 15 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
}

export class StatsBatcher extends Context.Service<
  StatsBatcher,
  {
    /** Keeps a report for the next batch. Never fails, never waits. */
    readonly add: (report: Omit<StatsRow, "id">) => Effect.Effect<void>
    /** Writes what is kept now; returns when it is written, or when an attempt to do so has failed. */
    readonly flush: Effect.Effect<void>
  }
>()("metadata-batcher/usage/StatsBatcher") {}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<StatsBatcher["Service"], never, StatsStore | SecureRandom.SecureRandom | Scope.Scope> {
  const store = yield* StatsStore
  const random = yield* SecureRandom.SecureRandom
  const context = yield* Effect.context<never>()
  const { maxSessionTypes = 64, size = 1_024 } = options
  yield* Metrics.register

  const batcher = yield* Batcher.make({
    accumulator: Accumulator.keyed({ key: (row: StatsRow) => row.id, merge: (row) => row }),
    interval: options.interval ?? "1 second",
    maxBatchSize: Math.ceil(size * 0.8),
    queueCapacity: size,
    maxPending: options.maxPending ?? size * 10,
    shutdownTimeout: options.shutdownTimeout ?? "15 seconds",
    onWriteFailure: "retain",
    write: (rows) => store.insert(SessionTypes.limit(rows, maxSessionTypes)),
    isRejection: (error) => error.reason === "rejected",
    observer: {
      onWritten: ({ count }) => Metric.update(Metrics.written, count),
      onFailed: ({ cause, unwritten }) =>
        Metric.update(Metrics.flushFailures, 1).pipe(
          Effect.andThen(Effect.logError("statistics could not be written and are kept", Cause.squash(cause))),
          Effect.annotateLogs({ reports: unwritten.length })
        ),
      // without the cause: what a database says about bad data repeats the data
      onRejected: ({ agentId }) =>
        Metric.update(Metrics.lost.rejected, 1).pipe(
          Effect.andThen(Effect.logError("the store refused a report of statistics, which is lost")),
          Effect.annotateLogs({ agentId })
        ),
      onClosed: ({ cutOff, written }) =>
        Metric.update(Metrics.lost.shutdown, cutOff).pipe(
          Effect.andThen(Effect.logWithLevel(cutOff > 0 ? "Warn" : "Info")("the batcher of statistics has closed")),
          Effect.annotateLogs({ written, lost: cutOff })
        )
    }
  })

  return {
    add: Effect.fnUntraced(function* (report) {
      if (batcher.addUnsafe([{ id: yield* random.uuidV4(), ...report }]) === 0) return
      const reason = batcher.isOpenUnsafe() ? "full" : "closed"
      Metrics.dropped[reason].updateUnsafe(1, context)
      yield* Effect.annotateLogs(Effect.logDebug("statistics were dropped"), { agentId: report.agentId, reason })
    }),
    flush: batcher.flush
  }
})

/** The batcher of statistics. Closing the layer's scope writes what is kept, within `shutdownTimeout`. */
export const layer = (options?: Options): Layer.Layer<StatsBatcher, never, StatsStore | SecureRandom.SecureRandom> =>
  Layer.effect(StatsBatcher, make(options))
