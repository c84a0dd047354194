/**
 * The rows of written batches, by their outcome. A store counts each row of a batch that succeeded once, as stored, stale
 * or undeclared.
 */
import { Metric } from "effect"

const rowsTotal = Metric.counter("metadata_batcher_store_rows_total", {
  description:
    "Rows of written batches: stored, stale (a newer one was stored) or undeclared (the agent has no such key)",
  incremental: true
})

export const rows = {
  stored: Metric.withAttributes(rowsTotal, { outcome: "stored" }),
  stale: Metric.withAttributes(rowsTotal, { outcome: "stale" }),
  undeclared: Metric.withAttributes(rowsTotal, { outcome: "undeclared" })
}

/** A clock that went wrong: alert on any increase. */
export const ahead = Metric.counter("metadata_batcher_store_rows_ahead_total", {
  description: "Rows whose time, stored or new, was ahead of the store by more than a minute; it was corrected",
  incremental: true
})
