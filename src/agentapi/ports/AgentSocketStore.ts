/** The port that stores the connection times of agents, and the replica to which each agent is connected. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId, ReplicaId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** When an agent was connected, as it is stored. */
export interface AgentSocketTimes {
  readonly firstConnectedAt: DateTime.Utc
  readonly lastConnectedAt: DateTime.Utc
  /** Null while the agent is connected. */
  readonly disconnectedAt: DateTime.Utc | null
}

/** The times of an agent's connection, and its replica. */
export interface AgentSocketRecord extends AgentSocketTimes {
  readonly agentId: AgentId
  readonly replicaId: ReplicaId
  /** Whether the connection starts, goes on or ends. */
  readonly phase: "start" | "heartbeat" | "end"
}

/**
 * The result of a heartbeat: whether the build of the agent is the latest of its workspace. It is `replaced`, and
 * nothing was recorded, if the agent has since connected to another replica.
 */
export type Recorded = "latest" | "outdated" | "replaced"

/** Records heartbeats. The adapter bounds how long that takes: heartbeats of other agents wait meanwhile. */
export class AgentSocketStore extends Context.Service<
  AgentSocketStore,
  {
    /**
     * Records the connection of one agent, waiting for its row. Returns `outdated`, and records nothing, if it is
     * deleted.
     */
    readonly recordHeartbeat: (record: AgentSocketRecord) => Effect.Effect<Recorded, StoreError>
    /**
     * Records the connections of several agents, each at most once, in one statement. It skips rows that are locked:
     * their agents are missing in the result.
     */
    readonly recordHeartbeats: (
      records: ReadonlyArray<AgentSocketRecord>
    ) => Effect.Effect<ReadonlyMap<AgentId, Recorded>, StoreError>
  }
>()("metadata-batcher/agentapi/ports/AgentSocketStore") {}
