/** The port through which the last use of workspaces is written. */
import { Context, type DateTime, type Effect } from "effect"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

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
