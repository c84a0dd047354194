/**
 * The port through which users find the agents of their workspaces, and administrators all agents.
 *
 * It holds the agents of the latest build of each workspace, without deleted agents and workspaces.
 */
import { Context, type Effect, type Option, Schema } from "effect"
import { AgentId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { User } from "../domain/User.ts"
import { Agent } from "../watch/AgentReader.ts"

const Time = Schema.NullOr(Schema.DateTimeUtcFromString)

export const AgentSummary = Schema.Struct({
  id: AgentId,
  name: Schema.String,
  workspace: Schema.String,
  owner: Schema.String,
  status: Agent.fields.status,
  /** The state of its startup, as the agent reports it. */
  lifecycle: Schema.String,
  /** The collection time of its newest value; null when it has none. */
  reported_at: Time,
  /** The number of its keys with an error instead of a value. */
  errors: Schema.Int
})
export type AgentSummary = typeof AgentSummary.Type

/** A connection of a user to an agent. */
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

/**
 * A peer of the tailnet: it has a stream, its stream ended without a disconnect, or it has yet to say how it can be
 * reached.
 */
export const PeerStatus = Schema.Literals(["connected", "lost", "connecting"])
export type PeerStatus = typeof PeerStatus.Type

/** A tunnel between an agent and another peer. */
export const Tunnel = Schema.Struct({
  peer: Schema.String,
  status: PeerStatus,
  /** The time since which the peer has its stream; null while it is connecting. */
  connected_at: Time,
  opened_at: Schema.DateTimeUtcFromString
})
export type Tunnel = typeof Tunnel.Type

/** An agent as a peer of the tailnet. */
export const Tailnet = Schema.Struct({
  status: PeerStatus,
  connected_at: Time,
  /** The number of all tunnels. */
  total: Schema.Int,
  /** Fifty of them: those of connected peers first, then the newest. */
  tunnels: Schema.Array(Tunnel)
})
export type Tailnet = typeof Tailnet.Type

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
  connections: Schema.Array(Connection),
  tailnet: Tailnet
})
export type AgentDetails = typeof AgentDetails.Type

export const SortKey = Schema.Literals(["name", "workspace", "owner", "status", "lifecycle"])
export type SortKey = typeof SortKey.Type

export interface Query {
  /** Words, each of which is in the name or the id of the agent, its workspace or its owner, or begins its status or lifecycle. */
  readonly search: string
  readonly sort: SortKey
  readonly order: "asc" | "desc"
  readonly offset: number
  readonly limit: number
}

export interface Page {
  /** The number of agents in all pages. */
  readonly total: number
  readonly agents: ReadonlyArray<AgentSummary>
}

export class AgentCatalog extends Context.Service<
  AgentCatalog,
  {
    /** Returns a page of the agents that a user may see. Numbers at the end of names are sorted as numbers. */
    readonly list: (viewer: User, query: Query) => Effect.Effect<Page, StoreError>
    readonly find: (agentId: AgentId) => Effect.Effect<Option.Option<AgentDetails>, StoreError>
  }
>()("metadata-batcher/dashboard/AgentCatalog") {}
