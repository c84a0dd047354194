/**
 * Caches the workspace of a connected agent, so that calls need not read it: an actor of its session.
 *
 * - The workspace is cached from the start, unless it is a prebuild that nobody has claimed yet.
 * - It is read again on a grid of five minutes. A change is cached and logged, including the claim of a prebuild.
 * - If the workspace cannot be read or found, the cached one stays and a warning is logged.
 * - The cache is empty after the session has ended.
 * - Access rights are not cached: they must be current at each use.
 */
import { Context, Effect, Equal, Layer, Option, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import type { AgentIdentity } from "../../domain/AgentIdentity.ts"
import { isPrebuild, type Workspace } from "../../domain/Workspace.ts"
import { annotated } from "../internal/annotated.ts"
import { WorkspaceStore } from "../../access/WorkspaceStore.ts"
import * as Wheel from "../../platform/Wheel.ts"

export interface CachedWorkspace {
  /** None if the caller has to read the workspace. */
  readonly get: Effect.Effect<Option.Option<Workspace>>
}

/** The time from one refresh to the next. */
export const refreshInterval = "5 minutes"

/** Runs the refreshes of all sessions. */
export class Refreshes extends Context.Service<Refreshes, Wheel.Wheel>()(
  "metadata-batcher/agentapi/session/CachedWorkspace/Refreshes"
) {}

export const layerRefreshes: Layer.Layer<Refreshes> = Layer.effect(Refreshes, Wheel.make(refreshInterval))

export const make = Effect.fnUntraced(function* (
  identity: Pick<AgentIdentity, "agentId" | "workspace">
): Effect.fn.Return<CachedWorkspace, never, WorkspaceStore | Refreshes | Scope.Scope> {
  const { workspace: initial } = identity
  const store = yield* WorkspaceStore
  const refreshes = yield* Refreshes
  let cached = Option.liftPredicate(initial, isClaimed)
  let latest = initial
  yield* LeanScope.acquireRelease(Effect.void, () => {
    cached = Option.none()
    return annotated(identity)(Effect.annotateLogs(Effect.logDebug("workspace cache ended"), describe(latest)))
  })

  const refresh = () =>
    Effect.gen(function* () {
      const found = yield* store.workspace(initial.id)
      if (Option.isNone(found)) return yield* Effect.logWarning("workspace not found, keeping the cached one")
      if (!isClaimed(found.value) || Option.exists(cached, Equal.equals(found.value))) return
      cached = found
      latest = found.value
      yield* Effect.annotateLogs(Effect.logDebug("workspace changed"), describe(latest))
    }).pipe(
      Effect.catchCause((cause) => Effect.logWarning("workspace not read, keeping the cached one", cause)),
      annotated(identity)
    )
  yield* refreshes.add(refresh)

  return { get: Effect.sync(() => cached) }
})

const isClaimed = (workspace: Workspace) => !isPrebuild(workspace)

const describe = ({ name, ownerName }: Workspace) => ({ workspaceName: name, ownerName })
