/**
 * Every change of the schema, in order. Files of released migrations never change: later ones build on them.
 */
import identities from "./migrations/0001_identities.ts"
import workspaces from "./migrations/0002_workspaces.ts"
import workspaceAgents from "./migrations/0003_workspace_agents.ts"
import workspaceAgentMetadata from "./migrations/0004_workspace_agent_metadata.ts"

export const migrations = {
  "0001_identities": identities,
  "0002_workspaces": workspaces,
  "0003_workspace_agents": workspaceAgents,
  "0004_workspace_agent_metadata": workspaceAgentMetadata
}
