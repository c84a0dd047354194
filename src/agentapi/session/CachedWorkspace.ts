/**
 * The workspace of a connected agent, so that calls need not read it: an actor of its session.
 *
 * - It is there from the start, unless nobody has claimed the workspace yet: then it is absent.
 * - It is read again every five minutes. What has changed is seen from then on, a claim too; what cannot be read stays as
 *   it was, with a warning.
 * - It is absent again once the session has ended.
 * - Who may do what with the workspace is no part of it: that must be as new as the question.
 */
import { Effect, Equal, Option, Ref, type Scope } from "effect"
import { isPrebuild, type Workspace } from "../../domain/Workspace.ts"
import { WorkspaceStore } from "../../access/WorkspaceStore.ts"

export interface CachedWorkspace {
  /** Absent where the caller has to look it up. */
  readonly get: Effect.Effect<Option.Option<Workspace>>
}

/** How often it is read again. */
export const refreshInterval = "5 minutes"

export const make = Effect.fnUntraced(function* (
  initial: Workspace
): Effect.fn.Return<CachedWorkspace, never, WorkspaceStore | Scope.Scope> {
  const store = yield* WorkspaceStore
  const cached = yield* Ref.make(Option.liftPredicate(initial, isClaimed))
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Ref.set(cached, Option.none()), Effect.logDebug("the workspace is no longer cached"))
  )

  const refresh = Effect.gen(function* () {
    const found = Option.filter(yield* store.workspace(initial.id), isClaimed)
    const known = yield* Ref.get(cached)
    if (Option.isNone(found) || Equal.equals(found, known)) return
    yield* Ref.set(cached, found)
    yield* Effect.logDebug("the workspace has changed")
  }).pipe(
    Effect.catch((error) => Effect.logWarning("the workspace cannot be read again: what was known stays", error.cause))
  )
  yield* Effect.forkScoped(Effect.forever(Effect.delay(refresh, refreshInterval)))

  return { get: Ref.get(cached) }
})

const isClaimed = (workspace: Workspace) => !isPrebuild(workspace)
