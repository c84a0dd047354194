/** Selects a workspace as one value of a row, from the tables `workspace`, `owner` and `template` of a statement. */
import { Schema } from "effect"
import type { SqlClient } from "effect/sql"
import { OrganizationId, TemplateId, UserId, WorkspaceId } from "../../domain/Ids.ts"

export const WorkspaceRow = Schema.Struct({
  id: WorkspaceId,
  name: Schema.String,
  ownerId: UserId,
  ownerName: Schema.String,
  organizationId: OrganizationId,
  templateId: TemplateId,
  templateName: Schema.String,
  autostartSchedule: Schema.NullOr(Schema.String)
})

export const workspaceJson = (sql: SqlClient.SqlClient) => sql`
  jsonb_build_object(
    'id', workspace.id,
    'name', workspace.name,
    'ownerId', workspace.owner_id,
    'ownerName', owner.username,
    'organizationId', workspace.organization_id,
    'templateId', workspace.template_id,
    'templateName', template.name,
    'autostartSchedule', workspace.autostart_schedule
  )`
