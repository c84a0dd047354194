/** The port through which statistics are written. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId, TemplateId, UserId, WorkspaceId } from "../domain/Ids.ts"
import type { StatsCounters } from "./AgentStats.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** The counters of one report of one agent. */
export interface StatsRow {
  /** Identifies the row when it is written again. */
  readonly id: string
  readonly at: DateTime.Utc
  readonly userId: UserId
  readonly workspaceId: WorkspaceId
  readonly templateId: TemplateId
  readonly agentId: AgentId
  readonly figures: StatsCounters
  /** Whether a program of a user reported it, and not the agent. */
  readonly usage: boolean
}

/** The use of an app by a user through the service. */
export interface AppStats {
  readonly userId: UserId
  readonly workspaceId: WorkspaceId
  readonly agentId: AgentId
  readonly accessMethod: "path" | "subdomain" | "terminal"
  readonly slugOrPort: string
  readonly sessionId: string
  readonly sessionStartedAt: DateTime.Utc
  readonly sessionEndedAt: DateTime.Utc
  readonly requests: number
}

export class StatsStore extends Context.Service<
  StatsStore,
  {
    /** Writes rows, all or none; rows that are stored already stay as they are. */
    readonly insert: (rows: ReadonlyArray<StatsRow>) => Effect.Effect<void, StoreError>
    /**
     * Writes the use of apps, and `at` as the last use of their workspaces, all or nothing. A session that is stored
     * already gets its later end.
     */
    readonly insertApps: (stats: ReadonlyArray<AppStats>, at: DateTime.Utc) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/usage/StatsStore") {}
