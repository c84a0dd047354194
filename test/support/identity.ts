import type { AgentIdentity } from "../../src/domain/AgentIdentity.ts"
import { type AgentId, BuildId, OrganizationId, TemplateId, UserId, WorkspaceId } from "../../src/domain/Ids.ts"
import type { Workspace } from "../../src/domain/Workspace.ts"

const id = (number: number) => `00000000-0000-4000-9000-${number.toString(16).padStart(12, "0")}`

/** The workspace of a test. */
export const workspace: Workspace = {
  id: WorkspaceId.make(id(2)),
  name: "dev",
  ownerId: UserId.make(id(3)),
  ownerName: "ada",
  organizationId: OrganizationId.make(id(4)),
  templateId: TemplateId.make(id(5)),
  templateName: "docker",
  autostartSchedule: null
}

/** The identity of a test's agent. */
export const identity = (agentId: AgentId): AgentIdentity => ({
  agentId,
  agentName: "main",
  parentId: null,
  buildId: BuildId.make(id(1)),
  templateVersionId: null,
  workspace,
  firstConnectedAt: null,
  disconnectedAt: null
})
