/** A workspace as agents need to know it. Rights are no part of it. */
import { type OrganizationId, type TemplateId, UserId, type WorkspaceId } from "./Ids.ts"

export interface Workspace {
  readonly id: WorkspaceId
  readonly name: string
  readonly ownerId: UserId
  readonly ownerName: string
  readonly organizationId: OrganizationId
  readonly templateId: TemplateId
  readonly templateName: string
  /** When the workspace starts by itself: a cron expression, if there is one. */
  readonly autostartSchedule: string | null
}

/** Owns the workspaces that are made ahead of time and wait to be claimed; the id is the original's. */
export const prebuildsUserId = UserId.make("c42fdf75-3097-471c-8c33-fb52454d81c0")

/** Whether nobody has claimed the workspace yet. */
export const isPrebuild = ({ ownerId }: { readonly ownerId: UserId }): boolean => ownerId === prebuildsUserId
