/** The port that records the connections of people to agents. */
import { Context, type DateTime, type Effect } from "effect"
import type { UserSessionId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import type { Workspace } from "../../domain/Workspace.ts"

/** The kinds of programs that people connect with. */
export const userSessionTypes = ["ssh", "vscode", "jetbrains", "reconnecting_pty"] as const
export type UserSessionType = (typeof userSessionTypes)[number]

/** The beginning or the end of a person's connection to an agent. */
export interface UserSessionReport {
  readonly connectionId: UserSessionId
  readonly agentName: string
  readonly workspace: Pick<Workspace, "id" | "name" | "ownerId" | "organizationId">
  readonly type: UserSessionType
  /** When it was, by the clock of the agent. */
  readonly at: DateTime.Utc
  readonly ip: string | null
  readonly appName: string | null
  /** The end; null if this is the beginning. */
  readonly end: { readonly code: number; readonly reason: string | null } | null
}

export class UserSessionStore extends Context.Service<
  UserSessionStore,
  {
    /** Completes the record of the connection, or begins it. Known fields stay. */
    readonly record: (report: UserSessionReport) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/UserSessionStore") {}
