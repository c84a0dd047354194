/** The port that reads the workspaces of a user, with their agents. */
import { Context, type Effect } from "effect"
import type { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** The states of a workspace, as desktop clients show them. */
export type WorkspaceStatus =
  | "pending"
  | "starting"
  | "running"
  | "stopping"
  | "stopped"
  | "failed"
  | "canceling"
  | "canceled"
  | "deleting"
  | "deleted"
  | "unknown"

export interface WorkspaceTree {
  readonly id: WorkspaceId
  readonly name: string
  readonly status: WorkspaceStatus
  readonly agents: ReadonlyArray<{ readonly id: AgentId; readonly name: string }>
}

export class WorkspaceTreeStore extends Context.Service<
  WorkspaceTreeStore,
  { readonly ofOwner: (ownerId: UserId) => Effect.Effect<ReadonlyArray<WorkspaceTree>, StoreError> }
>()("metadata-batcher/tailnet/WorkspaceTreeStore") {}
