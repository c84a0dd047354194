/** The port of where all replicas keep the points of the longer plots, which thereby outlive every restart. */
import { Context, type DateTime, type Effect } from "effect"
import type { StoreError } from "../domain/StoreError.ts"
import type { Point } from "./Overview.ts"

export class HistoryStore extends Context.Service<
  HistoryStore,
  {
    /** Keeps a point of a replica. One of the same replica and time is there already: another worker's. */
    readonly add: (replica: string, point: Point) => Effect.Effect<void, StoreError>
    /** Returns the points of all replicas since a time, the oldest first: for each time one, with sums and the greatest ages. */
    readonly read: (since: DateTime.Utc) => Effect.Effect<ReadonlyArray<Point>, StoreError>
  }
>()("metadata-batcher/operations/HistoryStore") {}
