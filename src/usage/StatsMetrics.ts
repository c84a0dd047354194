/** Metrics of reported statistics, and of the metrics that come with them. */
import { Effect, Metric } from "effect"

const counter = (name: string, description: string) =>
  Metric.counter(`coderd_agentapi_${name}`, { description, incremental: true })

const byReason = <const Reason extends string>(name: string, description: string, reasons: ReadonlyArray<Reason>) => {
  const metric = counter(name, description)
  return Object.fromEntries(reasons.map((reason) => [reason, Metric.withAttributes(metric, { reason })])) as {
    readonly [R in Reason]: typeof metric
  }
}

export const written = counter("stats_written_total", "Reports of statistics that were written.")

export const flushFailures = counter(
  "stats_flush_failures_total",
  "Batches of statistics that could not be written and are kept."
)

export const dropped = byReason(
  "stats_dropped_total",
  "Reports of statistics that were not kept for a batch, because there was no room or no service.",
  ["full", "closed"]
)

export const lost = byReason(
  "stats_lost_total",
  "Reports of statistics that were kept for a batch and never written, by what they were lost to.",
  ["rejected", "shutdown"]
)

export const droppedSeries = byReason(
  "forwarded_metrics_dropped_total",
  "Metrics of agents that are not shown, by what is wrong with them.",
  ["invalid", "duplicate", "type_conflict", "reserved", "agent_limit", "owner_limit", "full"]
)

/** Registers the counters, so that they are shown from zero on. */
export const register = Effect.forEach(
  [written, flushFailures, ...[dropped, lost, droppedSeries].flatMap((metrics) => Object.values(metrics))],
  (metric) => Metric.update(metric, 0),
  { discard: true }
)
