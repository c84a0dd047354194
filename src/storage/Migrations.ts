/**
 * Lists every change of the schema, in order. The file of a released migration never changes: later ones build on it.
 */
import identities from "./migrations/0001_identities.ts"
import workspaces from "./migrations/0002_workspaces.ts"
import workspaceAgents from "./migrations/0003_workspace_agents.ts"
import workspaceAgentMetadata from "./migrations/0004_workspace_agent_metadata.ts"
import workspaceSchedules from "./migrations/0005_workspace_schedules.ts"
import workspaceAgentState from "./migrations/0006_workspace_agent_state.ts"
import workspaceApps from "./migrations/0007_workspace_apps.ts"
import workspaceAgentScripts from "./migrations/0008_workspace_agent_scripts.ts"
import workspaceAgentReports from "./migrations/0009_workspace_agent_reports.ts"
import deployment from "./migrations/0010_deployment.ts"
import workspaceAppStats from "./migrations/0011_workspace_app_stats.ts"
import tailnet from "./migrations/0012_tailnet.ts"
import accessChanges from "./migrations/0013_access_changes.ts"
import retention from "./migrations/0014_retention.ts"
import workspaceAgentContext from "./migrations/0015_workspace_agent_context.ts"
import lifetimes from "./migrations/0016_lifetimes.ts"
import replicaPoints from "./migrations/0017_replica_points.ts"
import devcontainerSubAgents from "./migrations/0018_devcontainer_sub_agents.ts"
import userSecrets from "./migrations/0019_user_secrets.ts"

export const migrations = {
  "0001_identities": identities,
  "0002_workspaces": workspaces,
  "0003_workspace_agents": workspaceAgents,
  "0004_workspace_agent_metadata": workspaceAgentMetadata,
  "0005_workspace_schedules": workspaceSchedules,
  "0006_workspace_agent_state": workspaceAgentState,
  "0007_workspace_apps": workspaceApps,
  "0008_workspace_agent_scripts": workspaceAgentScripts,
  "0009_workspace_agent_reports": workspaceAgentReports,
  "0010_deployment": deployment,
  "0011_workspace_app_stats": workspaceAppStats,
  "0012_tailnet": tailnet,
  "0013_access_changes": accessChanges,
  "0014_retention": retention,
  "0015_workspace_agent_context": workspaceAgentContext,
  "0016_lifetimes": lifetimes,
  "0017_replica_points": replicaPoints,
  "0018_devcontainer_sub_agents": devcontainerSubAgents,
  "0019_user_secrets": userSecrets
}
