/**
 * Caches the workspace of a connected agent, so that calls need not read it.
 *
 * - The workspace is cached from the start, unless it is a prebuild that nobody has claimed yet.
 * - A call that needs it reads it again once the last reading is five minutes old. Calls beside that one get the cached
 *   workspace. A change is cached and logged, including the claim of a prebuild.
 * - If the workspace cannot be read or found, the cached one stays and a warning is logged.
 * - The cache is empty after the session has ended.
 * - Access rights are not cached: they must be current at each use.
 */
import { Clock, Duration, Effect, Equal, Option, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import * as MonotonicClock from "../../platform/MonotonicClock.ts"
import type { AgentIdentity } from "../../domain/AgentIdentity.ts"
import { isPrebuild, type Workspace } from "../../domain/Workspace.ts"
import { annotated } from "../internal/annotated.ts"
import { WorkspaceStore } from "../../access/WorkspaceStore.ts"

export interface CachedWorkspace {
  /** None if the caller has to read the workspace. */
  readonly get: Effect.Effect<Option.Option<Workspace>>
}

/** The age of the last reading from which on a call reads again. */
const maxAge = Duration.toMillis("5 minutes")

export const make = Effect.fnUntraced(function* (
  identity: Pick<AgentIdentity, "agentId" | "workspace">
): Effect.fn.Return<CachedWorkspace, never, WorkspaceStore | Scope.Scope> {
  const { workspace: initial } = identity
  const store = yield* WorkspaceStore
  const clock = yield* Clock.Clock
  let cached = Option.liftPredicate(initial, isClaimed)
  let latest = initial
  let readAt = MonotonicClock.millisUnsafe(clock)
  let isOpen = true
  yield* LeanScope.acquireRelease(Effect.void, () => {
    cached = Option.none()
    isOpen = false
    return annotated(identity)(Effect.annotateLogs(Effect.logDebug("workspace cache ended"), describe(latest)))
  })

  const read = () =>
    Effect.gen(function* () {
      const found = yield* store.workspace(initial.id)
      if (Option.isNone(found)) return yield* Effect.logWarning("workspace not found, keeping the cached one")
      if (!isOpen || !isClaimed(found.value) || Option.exists(cached, Equal.equals(found.value))) return
      cached = found
      latest = found.value
      yield* Effect.annotateLogs(Effect.logDebug("workspace changed"), describe(latest))
    }).pipe(
      // the next call reads instead
      Effect.onInterrupt(() => Effect.sync(() => void (readAt = Number.NEGATIVE_INFINITY))),
      Effect.catchCause((cause) => Effect.logWarning("workspace not read, keeping the cached one", cause)),
      annotated(identity)
    )

  return {
    get: Effect.suspend(() => {
      const now = MonotonicClock.millisUnsafe(clock)
      if (!isOpen || now - readAt < maxAge) return Effect.succeed(cached)
      readAt = now
      return Effect.map(read(), () => cached)
    })
  }
})

const isClaimed = (workspace: Workspace) => !isPrebuild(workspace)

const describe = ({ name, ownerName }: Workspace) => ({ workspaceName: name, ownerName })
