import type { AgentIdentity } from "../../src/domain/AgentIdentity.ts"
import { type AgentId, BuildId, OrganizationId, TemplateId, UserId, WorkspaceId } from "../../src/domain/Ids.ts"

const id = (number: number) => `00000000-0000-4000-9000-${number.toString(16).padStart(12, "0")}`

/** Who an agent of a test is. */
export const identity = (agentId: AgentId): AgentIdentity => ({
  agentId,
  agentName: "main",
  buildId: BuildId.make(id(1)),
  workspaceId: WorkspaceId.make(id(2)),
  workspaceName: "dev",
  ownerId: UserId.make(id(3)),
  ownerName: "ada",
  organizationId: OrganizationId.make(id(4)),
  templateId: TemplateId.make(id(5))
})
