/** Adds the ids of an agent and its workspace to log records. */
import { Effect } from "effect"
import type { AgentIdentity } from "../../domain/AgentIdentity.ts"

export const annotated = ({ agentId, workspace }: Pick<AgentIdentity, "agentId" | "workspace">) =>
  Effect.annotateLogs({ agentId, workspaceId: workspace.id })
