/** The port through which coordinators of several replicas share their peers and tunnels. */
import { Context, type Effect } from "effect"
import type { ReplicaId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { PeerId } from "./Peer.ts"

/** A peer as the store knows it: of all streams of an id, the newest one. */
export interface PeerRow {
  readonly id: PeerId
  readonly replicaId: ReplicaId
  /** Whether that replica has been heard of lately. */
  readonly isReplicaAlive: boolean
  readonly status: "ok" | "lost"
  readonly node: Uint8Array
  /** When the stream began, in milliseconds. */
  readonly startedAt: number
  /** When the peer made its last change, in milliseconds. */
  readonly changedAt: number
}

export interface PeerChange {
  readonly _tag: "peer"
  readonly id: PeerId
  /** `gone` removes the row, and all tunnels that the peer opened. */
  readonly status: "ok" | "lost" | "gone"
  readonly node: Uint8Array
  readonly startedAt: number
  readonly changedAt: number
}

export interface TunnelChange {
  readonly _tag: "tunnel"
  readonly source: PeerId
  readonly target: PeerId
  readonly isOpen: boolean
}

export type Change = PeerChange | TunnelChange

export interface TunnelRow {
  readonly source: PeerId
  readonly target: PeerId
}

export interface OtherReplica {
  readonly id: ReplicaId
  /** Since its last heartbeat. */
  readonly ageMillis: number
}

export class CoordinatorStore extends Context.Service<
  CoordinatorStore,
  {
    /**
     * Writes changes of a replica, all or none, and returns the peers whose change took effect. A peer that has a newer
     * stream on another living replica does not change.
     */
    readonly write: (
      replicaId: ReplicaId,
      changes: ReadonlyArray<Change>
    ) => Effect.Effect<ReadonlyArray<PeerId>, StoreError>
    readonly peers: (ids: ReadonlyArray<PeerId>) => Effect.Effect<ReadonlyArray<PeerRow>, StoreError>
    /** The tunnels that begin or end at these peers. */
    readonly tunnels: (ids: ReadonlyArray<PeerId>) => Effect.Effect<ReadonlyArray<TunnelRow>, StoreError>
    /** Records a heartbeat of a replica, and returns the others. */
    readonly beat: (replicaId: ReplicaId) => Effect.Effect<ReadonlyArray<OtherReplica>, StoreError>
    /** Makes all peers of a replica lost, and returns them. */
    readonly loseAll: (replicaId: ReplicaId) => Effect.Effect<ReadonlyArray<PeerId>, StoreError>
    /** Removes what nobody has touched for a day. */
    readonly cleanUp: Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/tailnet/CoordinatorStore") {}
