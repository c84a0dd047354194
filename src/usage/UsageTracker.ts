/**
 * Remembers which workspaces were used, and writes that now and then.
 *
 * It is a {@link Batcher} of workspace ids, and has its guarantees; beyond them:
 *
 * - A workspace is in a write once, however often it was used. All of a write get its time as their last use, which is
 *   accurate enough to tell a dormant workspace from one in use.
 * - Ids are written in the order of their bytes, so that replicas lock rows in one order.
 * - A write may take `writeTimeout`. What a failed one held is not written later: a workspace that is still in use is
 *   reported again. The first failure is logged as a warning, further ones in a row as errors with their number.
 * - Closing writes what is pending, within `writeTimeout`. The original loses up to an interval of usage. A use that
 *   comes later is dropped.
 */
import { Cause, Context, DateTime, Duration, Effect, Layer, Order, type Scope } from "effect"
import * as Accumulator from "../batcher/Accumulator.ts"
import * as Batcher from "../batcher/Batcher.ts"
import * as Settings from "../batcher/BatcherSettings.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import { UsageStore } from "./UsageStore.ts"

export interface Options {
  /** Time from the end of a write to the next one. Default 60 seconds. */
  readonly interval?: Duration.Input | undefined
  /** The longest that a write may take, the last one included. Default 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
}

export class UsageTracker extends Context.Service<
  UsageTracker,
  {
    /** Notes a use. Never fails, never waits. */
    readonly add: (workspaceId: WorkspaceId) => Effect.Effect<void>
    /** Writes what is pending now; returns when it is written, or when an attempt to do so has failed. */
    readonly flush: Effect.Effect<void>
  }
>()("metadata-batcher/usage/UsageTracker") {}

/** More workspaces than this are not remembered between two writes, nor during one. */
const maxWorkspaces = 1_000_000

/** A usage tracker that lives as long as the scope. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<UsageTracker["Service"], never, UsageStore | Scope.Scope> {
  const store = yield* UsageStore
  const writeTimeout = yield* Settings.duration("writeTimeout", options.writeTimeout, Duration.seconds(10))
  let failures = 0

  const batcher = yield* Batcher.make({
    accumulator: Accumulator.keyed<WorkspaceId, WorkspaceId>({ key: (id) => id, merge: (older) => older }),
    interval: options.interval ?? "60 seconds",
    // only time causes a write; uses are folded into the set of workspaces as often as the mailbox is full
    maxBatchSize: maxWorkspaces,
    maxPending: 2 * maxWorkspaces,
    queueCapacity: 1_024,
    shutdownTimeout: writeTimeout,
    write: (ids) =>
      Effect.flatMap(DateTime.now, (now) => store.updateLastUsedAt(ids.toSorted(Order.String), now)).pipe(
        Effect.timeout(writeTimeout)
      ),
    observer: {
      onWritten: ({ count }) => {
        failures = 0
        return Effect.annotateLogs(Effect.logInfo("the last use of workspaces was written"), { workspaces: count })
      },
      onFailed: ({ cause, unwritten }) => {
        failures++
        return Effect.logWithLevel(failures === 1 ? "Warn" : "Error")(
          "the last use of workspaces could not be written and is lost",
          Cause.squash(cause)
        ).pipe(Effect.annotateLogs({ workspaces: unwritten.length, failures }))
      },
      onClosed: ({ cutOff }) =>
        cutOff === 0
          ? Effect.void
          : Effect.annotateLogs(Effect.logWarning("the last use of workspaces was lost at the end"), {
              workspaces: cutOff
            })
    }
  })

  return {
    add: (workspaceId) =>
      Effect.flatMap(batcher.add([workspaceId]), (dropped) =>
        dropped === 0
          ? Effect.void
          : Effect.annotateLogs(Effect.logDebug("the last use of a workspace was dropped"), { workspaceId })
      ),
    flush: batcher.flush
  }
})

/** The usage tracker. Closing the layer's scope writes what is pending, within `writeTimeout`. */
export const layer = (options?: Options): Layer.Layer<UsageTracker, never, UsageStore> =>
  Layer.effect(UsageTracker, make(options))
