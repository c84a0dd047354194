/** The port that stores when agents were connected, and to which replica. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId, ReplicaId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** When an agent was connected, as it is stored. */
export interface ConnectionTimes {
  readonly firstConnectedAt: DateTime.Utc
  readonly lastConnectedAt: DateTime.Utc
  /** Null while the agent is connected. */
  readonly disconnectedAt: DateTime.Utc | null
}

/** The times of an agent's connection, and which replica it is with. */
export interface ConnectionNote extends ConnectionTimes {
  readonly agentId: AgentId
  readonly replicaId: ReplicaId
}

/**
 * The port through which connections are noted, and that they were noted now. Both answer whether the build of an agent
 * is the latest of its workspace. How long they may take is the adapter's to bound: the notes of others wait meanwhile.
 */
export class ConnectionStore extends Context.Service<
  ConnectionStore,
  {
    /** Notes the connection of one agent. Of an agent that is gone nothing is noted, and no build is the latest. */
    readonly note: (note: ConnectionNote) => Effect.Effect<boolean, StoreError>
    /**
     * Notes the connections of several agents, each named once, in one go. It waits for nothing that something else has
     * locked: agents of whom it could not note anything are missing in the answer.
     */
    readonly noteMany: (
      notes: ReadonlyArray<ConnectionNote>
    ) => Effect.Effect<ReadonlyMap<AgentId, boolean>, StoreError>
  }
>()("metadata-batcher/agentapi/ports/ConnectionStore") {}
