/** The port through which the last use of workspaces is written. */
import { Context, type DateTime, type Effect, Schema } from "effect"
import type { WorkspaceId } from "../domain/Ids.ts"

/** The last use of workspaces could not be written. */
export class UsageStoreError extends Schema.TaggedError<UsageStoreError>()("UsageStoreError", {
  cause: Schema.Defect()
}) {
  override get message() {
    return "the last use of workspaces cannot be written"
  }
}

export class UsageStore extends Context.Service<
  UsageStore,
  {
    /** Notes that workspaces were used at a time. A last use never moves backwards; unknown workspaces are ignored. */
    readonly updateLastUsedAt: (
      workspaceIds: ReadonlyArray<WorkspaceId>,
      lastUsedAt: DateTime.Utc
    ) => Effect.Effect<void, UsageStoreError>
  }
>()("metadata-batcher/usage/UsageStore") {}
