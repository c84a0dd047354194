/**
 * The port through which people find agents: those of their own workspaces, administrators those of all.
 *
 * Agents are those of the latest build of each workspace, unless they or the workspace are deleted.
 */
import { Context, type Effect, type Option, Schema } from "effect"
import { AgentId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { User } from "../domain/User.ts"

/**
 * Whether an agent is connected: it has a connection, had one, has yet to make its first, or has taken longer for that
 * than it was given.
 */
export const Status = Schema.Literals(["connected", "connecting", "disconnected", "timeout"])
export type Status = typeof Status.Type

const Time = Schema.NullOr(Schema.DateTimeUtcFromString)

export const AgentSummary = Schema.Struct({
  id: AgentId,
  name: Schema.String,
  workspace: Schema.String,
  owner: Schema.String,
  status: Status,
  /** How far it has come, as it says itself. */
  lifecycle: Schema.String,
  /** The time at which the newest of its values was collected; null if it has none. */
  reported_at: Time,
  /** How many of its keys have an error instead of a value. */
  errors: Schema.Int
})
export type AgentSummary = typeof AgentSummary.Type

/** A connection of a person to an agent. */
export const Connection = Schema.Struct({
  type: Schema.String,
  app: Schema.NullOr(Schema.String),
  ip: Schema.NullOr(Schema.String),
  connected_at: Schema.DateTimeUtcFromString,
  /** Null while it lasts. */
  disconnected_at: Time,
  reason: Schema.NullOr(Schema.String)
})
export type Connection = typeof Connection.Type

export const AgentDetails = Schema.Struct({
  ...AgentSummary.fields,
  operating_system: Schema.String,
  architecture: Schema.String,
  version: Schema.String,
  directory: Schema.String,
  created_at: Schema.DateTimeUtcFromString,
  started_at: Time,
  ready_at: Time,
  first_connected_at: Time,
  last_connected_at: Time,
  disconnected_at: Time,
  /** The last fifty, the newest first. */
  connections: Schema.Array(Connection)
})
export type AgentDetails = typeof AgentDetails.Type

export const SortKey = Schema.Literals(["name", "workspace", "owner", "status", "lifecycle"])
export type SortKey = typeof SortKey.Type

export interface Query {
  /** Words that are all in the name of the agent, its workspace or its owner, or begin its status or its lifecycle. */
  readonly search: string
  readonly sort: SortKey
  readonly order: "asc" | "desc"
  readonly offset: number
  readonly limit: number
}

export interface Page {
  /** How many agents there are in all pages. */
  readonly total: number
  readonly agents: ReadonlyArray<AgentSummary>
}

export class AgentCatalog extends Context.Service<
  AgentCatalog,
  {
    /** A page of the agents that a user may see; numbers at the end of names count as numbers. */
    readonly list: (viewer: User, query: Query) => Effect.Effect<Page, StoreError>
    readonly find: (agentId: AgentId) => Effect.Effect<Option.Option<AgentDetails>, StoreError>
  }
>()("metadata-batcher/dashboard/AgentCatalog") {}
