/**
 * The rows of written batches, by their outcome. A store counts each row of a batch that succeeded once, as stored, stale
 * or undeclared.
 */
import { Effect, Metric, Struct } from "effect"
import { byLabel, counter } from "../domain/Counters.ts"

const rowsTotal = counter(
  "metadata_batcher_store_rows_total",
  "Rows of written batches: stored, stale (a newer one was stored) or undeclared (the agent has no such key)"
)

export const rows = byLabel(rowsTotal, "outcome", ["stored", "stale", "undeclared"])

/** A clock that went wrong: alert on any increase. */
export const ahead = counter(
  "metadata_batcher_store_rows_ahead_total",
  "Rows whose time, stored or new, was ahead of the store by more than a minute; it was corrected"
)

/** The servers of a store that is not the database. Changes by differences, so that several stores add up. */
export const nodesAway = Metric.gauge("metadata_batcher_store_nodes_away", {
  description: "Servers of the metadata store that do not respond"
})

/** Counts the rows of a batch that was written. */
export const count = (counts: Record<keyof typeof rows, number> & { readonly ahead: number }): Effect.Effect<void> =>
  Effect.andThen(
    Effect.forEach(Struct.keys(rows), (outcome) => Metric.update(rows[outcome], counts[outcome])),
    Metric.update(ahead, counts.ahead)
  )
