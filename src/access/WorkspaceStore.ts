/** The port that looks up the workspace of an agent. */
import { Context, type Effect, type Option } from "effect"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import type { StoreError } from "../domain/StoreError.ts"

export class WorkspaceStore extends Context.Service<
  WorkspaceStore,
  {
    readonly workspace: (id: WorkspaceId) => Effect.Effect<Option.Option<Workspace>, StoreError>
    /** The workspace that an agent belongs to. */
    readonly workspaceOf: (agentId: AgentId) => Effect.Effect<Option.Option<Workspace>, StoreError>
  }
>()("metadata-batcher/access/WorkspaceStore") {}
