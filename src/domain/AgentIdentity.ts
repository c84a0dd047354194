import type { AgentId, BuildId, OrganizationId, TemplateId, UserId, WorkspaceId } from "./Ids.ts"

/** Who an agent is: what its token says, fixed for as long as it is connected. */
export interface AgentIdentity {
  readonly agentId: AgentId
  readonly agentName: string
  readonly buildId: BuildId
  readonly workspaceId: WorkspaceId
  readonly workspaceName: string
  readonly ownerId: UserId
  readonly ownerName: string
  readonly organizationId: OrganizationId
  readonly templateId: TemplateId
}
