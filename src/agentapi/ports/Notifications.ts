/**
 * The port that notifies users of events in their workspaces.
 *
 * Another program reads the queue and sends its messages. The same message is enqueued at most once a day.
 */
import { Context, type Effect, type Schema } from "effect"
import type { AgentId, AppId, OrganizationId, TemplateId, UserId, WorkspaceId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** The template of a message. */
export type MessageTemplate =
  | "task_working"
  | "task_idle"
  | "task_completed"
  | "task_failed"
  | "workspace_out_of_memory"
  | "workspace_out_of_disk"

export interface Notification {
  /** The recipient. */
  readonly userId: UserId
  readonly template: MessageTemplate
  /** The words to insert into the text of the template, by their names. */
  readonly labels: Readonly<Record<string, string>>
  /** The structured data of the template. */
  readonly data: Readonly<Record<string, Schema.Json>>
  /** The subjects of the message. */
  readonly targets: ReadonlyArray<AgentId | AppId | OrganizationId | TemplateId | UserId | WorkspaceId>
  /** The part of the service that enqueues the message. */
  readonly createdBy: string
  /** Two messages that differ in this key alone are both sent. Default: none. */
  readonly dedupeKey?: string | undefined
}

export class Notifications extends Context.Service<
  Notifications,
  {
    /** Enqueues a message, unless the same one was already enqueued on this day (UTC). */
    readonly enqueue: (notification: Notification) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/Notifications") {}
