import type { DateTime } from "effect"
import type { AgentId, BuildId, TemplateVersionId } from "./Ids.ts"
import type { Workspace } from "./Workspace.ts"

/** The identity of an agent. It follows from the token, and is fixed while the agent is connected. */
export interface AgentIdentity {
  readonly agentId: AgentId
  readonly agentName: string
  /** The parent; null if the agent is not a sub-agent. */
  readonly parentId: AgentId | null
  readonly buildId: BuildId
  readonly templateVersionId: TemplateVersionId | null
  /** The workspace as it was when the agent connected. */
  readonly workspace: Workspace
  readonly firstConnectedAt: DateTime.Utc | null
  readonly disconnectedAt: DateTime.Utc | null
}
