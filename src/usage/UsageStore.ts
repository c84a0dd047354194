/**
 * The port through which the last use of workspaces is written.
 *
 * @example
 * ```ts
 * import { DateTime, Effect, Layer } from "effect"
 * import { Ids, UsageStore } from "metadata-batcher"
 *
 * const lastUsedAt = new Map<Ids.WorkspaceId, DateTime.Utc>()
 * const Store = Layer.succeed(UsageStore.UsageStore, {
 *   updateLastUsedAt: (workspaceIds, now) =>
 *     Effect.sync(() => {
 *       for (const id of workspaceIds) {
 *         const stored = lastUsedAt.get(id)
 *         if (stored === undefined || DateTime.isGreaterThan(now, stored)) lastUsedAt.set(id, now)
 *       }
 *     })
 * })
 *
 * const workspace = Ids.WorkspaceId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = UsageStore.UsageStore.use(({ updateLastUsedAt }) =>
 *   updateLastUsedAt([workspace], DateTime.makeUnsafe("2026-01-01T00:00:00Z"))
 * )
 * await Effect.runPromise(Effect.provide(program, Store))
 * console.log(lastUsedAt.get(workspace))
 * // Output:
 * // DateTime.Utc(2026-01-01T00:00:00.000Z)
 * ```
 */
import { Context, type DateTime, type Effect } from "effect"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** The store of the last use of workspaces as a service. */
export class UsageStore extends Context.Service<
  UsageStore,
  {
    /** Writes the last use of workspaces. It never moves backwards; unknown workspaces are ignored. */
    readonly updateLastUsedAt: (
      workspaceIds: ReadonlyArray<WorkspaceId>,
      lastUsedAt: DateTime.Utc
    ) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/usage/UsageStore") {}
