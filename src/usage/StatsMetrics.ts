/** Metrics of reported statistics, and of the metrics that come with them. */
import { byLabel, counter, fromZero } from "../domain/Counters.ts"
import * as BatcherMetrics from "../batcher/BatcherMetrics.ts"

export const batcher = BatcherMetrics.define(
  { prefix: "coderd_agentapi_stats" },
  {
    written: ["written_total", "Reports of statistics that were written."],
    failures: ["flush_failures_total", "Batches of statistics that could not be written and are kept."],
    dropped: [
      "dropped_total",
      "Reports of statistics that were not kept for a batch, because there was no room or no service."
    ],
    lost: [
      "lost_total",
      "Reports of statistics that were kept for a batch and never written, by what they were lost to."
    ]
  }
)

export const droppedSeries = byLabel(
  counter(
    "coderd_agentapi_forwarded_metrics_dropped_total",
    "Metrics of agents that are not shown, by what is wrong with them."
  ),
  "reason",
  ["invalid", "duplicate", "type_conflict", "reserved", "agent_limit", "owner_limit", "full"]
)

/** Registers the counters of series, so that they are shown from zero on. */
export const registerSeries = fromZero(Object.values(droppedSeries))
