/**
 * Collects the reported statistics, and writes many in one statement.
 *
 * It is a {@link Batcher} with its guarantees, and these:
 *
 * - There is a write every second, and as soon as four fifths of a batch are full.
 * - A failed batch is retained while there is room, and written later: each report once.
 * - Of one agent at most `maxPendingPerAgent` reports are held: however many it sends, others find room.
 * - A batch has at most 64 types of sessions beside the well-known ones. Further types count as `unknown`.
 * - Closing writes what is pending, within 15 seconds.
 * - Every report that is dropped or lost is counted by its reason.
 */
import { Cause, Context, type Duration, Effect, Layer, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import * as Accumulator from "../batcher/Accumulator.ts"
import * as Batcher from "../batcher/Batcher.ts"
import * as SessionTypes from "./internal/sessionTypes.ts"
import * as Metrics from "./StatsMetrics.ts"
import { type StatsRow, StatsStore } from "./StatsStore.ts"

export interface Options {
  /** The time from the end of a write to the next one. Default 1 second. */
  readonly interval?: Duration.Input | undefined
  /** The most reports of a batch, which is written when four fifths of it are full. Default 1 024. */
  readonly size?: number | undefined
  /** The most reports that are retained while writes fail. Default 10 times `size`. */
  readonly maxPending?: number | undefined
  /** The most reports of one agent that are held; further ones are dropped. Default 128. */
  readonly maxPendingPerAgent?: number | undefined
  /** The most types of sessions in a batch, beside the well-known ones. Default 64. */
  readonly maxSessionTypes?: number | undefined
  /** The longest time of closing. Default 15 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
}

export class StatsBatcher extends Context.Service<
  StatsBatcher,
  {
    /** Adds a report to the next batch. Never fails, never waits. */
    readonly add: (report: Omit<StatsRow, "id">) => Effect.Effect<void>
    /** Writes what is pending; returns when it is written, or when the write has failed. */
    readonly flush: Effect.Effect<void>
  }
>()("metadata-batcher/usage/StatsBatcher") {}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<StatsBatcher["Service"], never, StatsStore | SecureRandom.SecureRandom | Scope.Scope> {
  const store = yield* StatsStore
  const random = yield* SecureRandom.SecureRandom
  const { maxSessionTypes = 64, size = 1_024 } = options

  const batcher = yield* Batcher.make({
    // rows never merge: each has an id of its own
    accumulator: Accumulator.keyed<StatsRow, string>({
      key: ({ id }) => id,
      merge: (_, newer) => newer,
      source: ({ agentId }) => agentId
    }),
    interval: options.interval ?? "1 second",
    maxBatchSize: Math.ceil(size * 0.8),
    queueCapacity: size,
    maxPending: options.maxPending ?? size * 10,
    maxPendingPerSource: options.maxPendingPerAgent ?? 128,
    shutdownTimeout: options.shutdownTimeout ?? "15 seconds",
    onWriteFailure: "retain",
    write: (rows) => store.insert(SessionTypes.limit(rows, maxSessionTypes)),
    isRejection: (error) => error.reason === "rejected",
    metrics: Metrics.batcher,
    observer: {
      onFailed: ({ cause, unwritten }) =>
        Effect.annotateLogs(Effect.logError("batch of statistics not written and retained", Cause.squash(cause)), {
          reports: unwritten.length
        }),
      // without the cause: a database repeats bad data in its message
      onRejected: ({ agentId }) =>
        Effect.annotateLogs(Effect.logError("report of statistics rejected and lost"), { agentId }),
      onClosed: ({ cutOff, written }) =>
        Effect.annotateLogs(Effect.logWithLevel(cutOff > 0 ? "Warn" : "Info")("batcher of statistics closed"), {
          written,
          lost: cutOff
        })
    }
  })

  return {
    add: Effect.fnUntraced(function* (report) {
      const { reason } = yield* batcher.tryAdd([{ id: yield* random.uuidV4(), ...report }])
      if (reason === undefined) return
      yield* Effect.annotateLogs(Effect.logDebug("report of statistics dropped"), { agentId: report.agentId, reason })
    }),
    flush: batcher.flush
  }
})

/** The batcher of statistics. Closing the layer's scope writes what is pending, within `shutdownTimeout`. */
export const layer = (options?: Options): Layer.Layer<StatsBatcher, never, StatsStore | SecureRandom.SecureRandom> =>
  Layer.effect(StatsBatcher, make(options))
