/**
 * Remembers which workspaces were used, and writes their last use at a fixed rate.
 *
 * - A workspace is in a write once, however often it was used. All workspaces of a write get the time of the tick as their
 *   last use, which is accurate enough to tell a dormant workspace from one in use.
 * - Ticks keep their rate however long writes take: after 60, 120, 180 seconds. Of the ticks during a write only the last
 *   one is made up for, at its end.
 * - Ids are written in the order of their bytes, so that replicas lock rows in one order. One write runs at a time.
 * - A write may take `writeTimeout`. A failed write is not repeated: a workspace that is still in use is reported again.
 *   The first failure is logged as a warning, further ones in a row as errors with their number.
 * - Closing writes what is pending, within `writeTimeout`. The original loses up to an interval of usage.
 * - A use after closing is dropped. So is one of a workspace beyond {@link maxWorkspaces} in an interval.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { Ids, UsageStore, UsageTracker } from "metadata-batcher"
 *
 * const Store = Layer.succeed(UsageStore.UsageStore, {
 *   updateLastUsedAt: (workspaces) => Console.log(`${workspaces.length} workspace used`)
 * })
 *
 * const workspace = Ids.WorkspaceId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = UsageTracker.UsageTracker.use(({ add }) => Effect.andThen(add(workspace), add(workspace)))
 * // closing the layer writes everything pending
 * await Effect.runPromise(Effect.provide(program, Layer.provide(UsageTracker.layer(), Store)))
 * // Output:
 * // 1 workspace used
 * ```
 */
import { Config, Context, DateTime, Duration, Effect, Layer, type Scope, Semaphore } from "effect"
import * as Settings from "../batcher/BatcherSettings.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import { ticks } from "./internal/ticks.ts"
import { UsageStore } from "./UsageStore.ts"

/** The times of a usage tracker. */
export interface Options {
  /** The time from one write to the next. Default (also for 0): 60 seconds. */
  readonly interval?: Duration.Input | undefined
  /** The longest time of a write, and of closing. Default (also for 0): 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
}

/** The usage tracker as a service. */
export class UsageTracker extends Context.Service<
  UsageTracker,
  {
    /** Records a use of a workspace. Never fails, never waits. */
    readonly add: (workspaceId: WorkspaceId) => Effect.Effect<void>
    /** Writes what is pending; returns when it is written, or when the write has failed. */
    readonly flush: Effect.Effect<void>
  }
>()("metadata-batcher/usage/UsageTracker") {}

/** The most workspaces that are remembered from one write to the next. */
export const maxWorkspaces = 1_000_000

/**
 * A usage tracker that lives as long as the scope. A time that makes no sense is a defect, an
 * {@link Settings.InvalidSetting}.
 */
export const make = (options?: Options): Effect.Effect<UsageTracker["Service"], never, UsageStore | Scope.Scope> =>
  Effect.orDie(makeChecked(options))

/** `make` for times that come from outside: fails with an {@link Settings.InvalidSetting} that names the option. */
export const makeChecked = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<UsageTracker["Service"], Settings.InvalidSetting, UsageStore | Scope.Scope> {
  const store = yield* UsageStore
  const interval = yield* Settings.duration("interval", options.interval, Duration.seconds(60))
  const writeTimeout = yield* Settings.duration("writeTimeout", options.writeTimeout, Duration.seconds(10))
  const oneWriter = yield* Semaphore.make(1)
  let isOpen = true
  let used = new Set<WorkspaceId>()
  let failures = 0

  const logLost = (workspaces: number) =>
    Effect.annotateLogs(Effect.logWarning("last use of workspaces lost at shutdown"), { workspaces })

  const write = (now: DateTime.Utc) =>
    Effect.suspend(() => {
      const ids = [...used].toSorted()
      if (ids.length === 0) return Effect.logDebug("no workspace was used")
      used = new Set()
      return Effect.suspend(() => store.updateLastUsedAt(ids, now)).pipe(
        Effect.timeout(writeTimeout),
        // a store with a bug must not end the ticks
        Effect.catchDefect((defect) => Effect.fail(defect)),
        Effect.matchEffect({
          onSuccess: () => {
            failures = 0
            return Effect.logInfo("last use of workspaces written")
          },
          onFailure: (error: unknown) => {
            failures++
            return Effect.annotateLogs(
              Effect.logWithLevel(failures === 1 ? "Warn" : "Error")("last use of workspaces not written", error),
              { failures }
            )
          }
        }),
        Effect.onInterrupt(() => logLost(ids.length)),
        Effect.annotateLogs({ workspaces: ids.length, now: DateTime.formatIso(now) })
      )
    }).pipe(oneWriter.withPermit)

  const flush = Effect.flatMap(DateTime.now, write)

  yield* ticks(interval, write).pipe(Effect.ensuring(Effect.logDebug("usage tracker stopped")), Effect.forkScoped)
  // runs before the ticks are interrupted
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isOpen = false
      return Effect.timeoutOption(used.size === 0 ? oneWriter.withPermit(Effect.void) : flush, writeTimeout)
    }).pipe(Effect.andThen(Effect.suspend(() => (used.size === 0 ? Effect.void : logLost(used.size)))))
  )

  return {
    add: (workspaceId) =>
      Effect.suspend(() => {
        if (isOpen && (used.size < maxWorkspaces || used.has(workspaceId))) {
          used.add(workspaceId)
          return Effect.void
        }
        return Effect.annotateLogs(Effect.logDebug("use of a workspace dropped"), { workspaceId })
      }),
    flush
  }
})

/** The usage tracker. Closing the layer's scope writes what is pending, within `writeTimeout`. */
export const layer = (options?: Options): Layer.Layer<UsageTracker, never, UsageStore> =>
  Layer.effect(UsageTracker, make(options))

/** `layer` with times from a `Config`, which fails with what is wrong with them. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<UsageTracker, Config.ConfigError | Settings.InvalidSetting, UsageStore> =>
  Layer.effect(UsageTracker, Effect.flatMap(Config.unwrap(options), makeChecked))
