/** The port that moves the deadline of a workspace's build. */
import { Context, type DateTime, type Effect } from "effect"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

export class ActivityStore extends Context.Service<
  ActivityStore,
  {
    /**
     * Moves the deadline of the latest build of a workspace, by these rules:
     *
     * - It moves to the time given plus what the template says a bump is.
     * - If that is beyond the next autostart and the template allows autostarts, it moves to the autostart plus the time to
     *   live of the workspace, or of the template if users may not set their own. If neither has a time to live, the first
     *   rule holds.
     * - It never moves backwards, nor beyond the maximum of the build.
     * - It stays until 5 % of its movement have passed since it was moved last.
     * - Only a start that has ended and has a deadline is bumped, and only if the template has bumps.
     */
    readonly bump: (
      workspaceId: WorkspaceId,
      at: DateTime.Utc,
      nextAutostart: DateTime.Utc | null
    ) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/usage/ActivityStore") {}
