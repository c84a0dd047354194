/** The port that records the sessions of users with agents. */
import { Context, type DateTime, type Effect } from "effect"
import type { UserSessionId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import type { Workspace } from "../../domain/Workspace.ts"

/** The kinds of programs with which users connect. */
export const userSessionTypes = ["ssh", "vscode", "jetbrains", "reconnecting_pty"] as const
export type UserSessionType = (typeof userSessionTypes)[number]

/** The start or the end of a user's session with an agent. */
export interface UserSessionReport {
  readonly connectionId: UserSessionId
  readonly agentName: string
  readonly workspace: Pick<Workspace, "id" | "name" | "ownerId" | "organizationId">
  readonly type: UserSessionType
  /** The time of the start or the end, by the clock of the agent. */
  readonly at: DateTime.Utc
  readonly ip: string | null
  readonly appName: string | null
  /** The end of the session; null if this is the start. */
  readonly end: { readonly code: number; readonly reason: string | null } | null
}

export class UserSessionStore extends Context.Service<
  UserSessionStore,
  {
    /** Completes the record of the session, or creates it. Known fields stay. */
    readonly record: (report: UserSessionReport) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/UserSessionStore") {}
