/**
 * Counts the use of boundaries, and writes the counts at an interval: one actor per process.
 *
 * - The row of this replica holds the workspaces, the users and the requests of a period. A period begins when the row is
 *   written for the first time, and again when the row was deleted: the new row holds the counts since the last write.
 * - Without requests since the last write there is no write.
 * - The counts of a failed write are in the next one.
 * - At most `maxIds` workspaces and `maxIds` users are distinguished in a period. Beyond that only requests count, with a
 *   warning.
 * - Closing writes what is pending, within `writeTimeout`.
 */
import { Context, DateTime, type Duration, Effect, Layer, Schedule, type Scope, Semaphore } from "effect"
import type { UserId, WorkspaceId } from "../domain/Ids.ts"
import { Replica } from "../domain/Replica.ts"
import { type BoundaryCounts, BoundaryUsageStore } from "./BoundaryUsageStore.ts"

/** Requests of one workspace to which a boundary applied. */
export interface BoundaryRequests {
  readonly workspaceId: WorkspaceId
  readonly userId: UserId
  readonly allowed: number
  readonly denied: number
}

export interface Options {
  /** The time from the end of a write to the next one. Default 60 seconds. */
  readonly interval?: Duration.Input | undefined
  /** The longest time of a write, the last one included. Default 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** The most workspaces, and the most users, that are distinguished. Default 100 000. */
  readonly maxIds?: number | undefined
}

export class BoundaryUsage extends Context.Service<
  BoundaryUsage,
  {
    /** Counts requests. Never fails, never waits. */
    readonly track: (requests: BoundaryRequests) => Effect.Effect<void>
    /** Writes what is pending now. */
    readonly flush: Effect.Effect<void>
    /** Writes at the interval, for ever. */
    readonly run: Effect.Effect<never>
  }
>()("metadata-batcher/usage/BoundaryUsage") {}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<BoundaryUsage["Service"], never, BoundaryUsageStore | Replica | Scope.Scope> {
  const store = yield* BoundaryUsageStore
  const replica = yield* Replica
  const { interval = "60 seconds", maxIds = 100_000, writeTimeout = "10 seconds" } = options
  const oneWriter = yield* Semaphore.make(1)

  /** The counts in the row, and the counts since the last write. */
  let written = empty()
  let recent = empty()

  const flush = oneWriter.withPermit(
    Effect.uninterruptibleMask(
      Effect.fnUntraced(function* (restore) {
        if (isIdle(recent)) return
        const news = recent
        recent = empty()
        const total = union(written, news, maxIds)
        const counts = { recent: count(news), total: count(total) }
        if (Math.max(counts.total.workspaces, counts.total.users) >= maxIds) {
          yield* Effect.annotateLogs(Effect.logWarning("too many workspaces or users of boundaries to distinguish"), {
            maxIds
          })
        }
        yield* restore(Effect.timeout(store.write(replica, counts, yield* DateTime.now), writeTimeout)).pipe(
          Effect.matchCauseEffect({
            onSuccess: (isNew) =>
              Effect.sync(() => {
                written = isNew ? news : total
              }),
            onFailure: (cause) => {
              recent = union(news, recent, maxIds)
              return Effect.logWarning("boundary usage not written", cause)
            }
          })
        )
      })
    )
  )

  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      flush,
      Effect.suspend(() =>
        isIdle(recent)
          ? Effect.void
          : Effect.annotateLogs(Effect.logWarning("boundary usage lost at shutdown"), { ...count(recent) })
      )
    )
  )

  return BoundaryUsage.of({
    track: (requests) => Effect.sync(() => add(recent, requests, maxIds)),
    flush,
    run: Effect.andThen(Effect.schedule(flush, Schedule.spaced(interval)), Effect.never)
  })
})

/** The boundary usage. It is written at its interval while something runs its `run`. */
export const layer = (options?: Options): Layer.Layer<BoundaryUsage, never, BoundaryUsageStore | Replica> =>
  Layer.effect(BoundaryUsage, make(options))

interface Usage {
  readonly workspaces: Set<WorkspaceId>
  readonly users: Set<UserId>
  allowed: number
  denied: number
}

const empty = (): Usage => ({ workspaces: new Set(), users: new Set(), allowed: 0, denied: 0 })

const isIdle = ({ allowed, denied }: Usage): boolean => allowed + denied === 0

const add = (usage: Usage, { allowed, denied, userId, workspaceId }: BoundaryRequests, maxIds: number): void => {
  if (usage.workspaces.size < maxIds) usage.workspaces.add(workspaceId)
  if (usage.users.size < maxIds) usage.users.add(userId)
  usage.allowed += allowed
  usage.denied += denied
}

const union = (one: Usage, other: Usage, maxIds: number): Usage => ({
  workspaces: first(maxIds, [...one.workspaces, ...other.workspaces]),
  users: first(maxIds, [...one.users, ...other.users]),
  allowed: one.allowed + other.allowed,
  denied: one.denied + other.denied
})

const first = <Id>(max: number, ids: ReadonlyArray<Id>): Set<Id> => new Set([...new Set(ids)].slice(0, max))

const count = ({ allowed, denied, users, workspaces }: Usage): BoundaryCounts => ({
  workspaces: workspaces.size,
  users: users.size,
  allowed,
  denied
})
