/** Changes of a workspace, announced to the other programs of its owner. */
import { Schema } from "effect"
import { AgentId, type UserId, WorkspaceId } from "./Ids.ts"

/** The kind of the change. */
export const Kind = Schema.Literals([
  "stats_update",
  "app_health",
  "agt_lifecycle_update",
  "agt_connection_update",
  "agt_first_logs",
  "agt_logs_overflow",
  "agt_app_status_update"
])
export type Kind = typeof Kind.Type

/** An event as it is announced. */
export const WorkspaceEvent = Schema.fromJsonString(
  Schema.Struct({ kind: Kind, workspace_id: WorkspaceId, agent_id: AgentId })
)

/** The channel on which the events of a user's workspaces are announced. */
export const channel = (ownerId: UserId): string => `workspace_owner:${ownerId}`
