/** The port that stores the use of boundaries, one row per replica. */
import { Context, type DateTime, type Effect } from "effect"
import type { ReplicaId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** The workspaces, users and requests of a period. */
export interface BoundaryCounts {
  readonly workspaces: number
  readonly users: number
  readonly allowed: number
  readonly denied: number
}

export class BoundaryUsageStore extends Context.Service<
  BoundaryUsageStore,
  {
    /** Replaces the row of a replica by `total`, or inserts `recent` if there is none. Returns whether it was inserted. */
    readonly write: (
      replicaId: ReplicaId,
      counts: { readonly recent: BoundaryCounts; readonly total: BoundaryCounts },
      at: DateTime.Utc
    ) => Effect.Effect<boolean, StoreError>
  }
>()("metadata-batcher/usage/BoundaryUsageStore") {}
