/** A workspace, with the properties that agents need. It holds no access rights. */
import { type OrganizationId, type TemplateId, UserId, type WorkspaceId } from "./Ids.ts"

export interface Workspace {
  readonly id: WorkspaceId
  readonly name: string
  readonly ownerId: UserId
  readonly ownerName: string
  readonly organizationId: OrganizationId
  readonly templateId: TemplateId
  readonly templateName: string
  /** The schedule by which the workspace starts by itself, as a cron expression, if it has one. */
  readonly autostartSchedule: string | null
}

/**
 * The owner of prebuilds: workspaces that are created ahead of time and wait to be claimed. The id is the original's.
 */
export const prebuildsUserId = UserId.make("c42fdf75-3097-471c-8c33-fb52454d81c0")

/** Whether nobody has claimed the workspace yet. */
export const isPrebuild = ({ ownerId }: { readonly ownerId: UserId }): boolean => ownerId === prebuildsUserId
