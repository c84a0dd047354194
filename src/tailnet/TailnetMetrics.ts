/** Metrics of the tailnet. */
import { Effect, Metric } from "effect"
import * as Counters from "../domain/Counters.ts"

const counter = (name: string, description: string) => Counters.counter(`coderd_tailnet_${name}`, description)

export const peers = Metric.gauge("coderd_tailnet_peers", {
  description: "Peers that have a Coordinate stream on this replica."
})

export const tunnels = Metric.gauge("coderd_tailnet_tunnels", {
  description: "Tunnels that this replica knows."
})

export const updates = Counters.byLabel(
  counter("updates_total", "Updates about a peer that were sent to a partner."),
  "kind",
  ["node", "disconnected", "lost", "readyForHandshake"]
)

export const streamsEnded = Counters.byLabel(
  counter("streams_ended_total", "Coordinate streams that ended."),
  "reason",
  ["disconnect", "lost", "overwritten", "overflow", "refused", "closed"]
)

export const refusals = Counters.byLabel(counter("refusals_total", "Requests of peers that were refused."), "reason", [
  "authorization",
  "malformed",
  "node_too_large",
  "too_many_tunnels"
])

export const throttled = counter("throttled_total", "Requests of peers that waited, because the peer made too many.")

/** From the node of a peer to its partner's queue. */
export const updateLatency = Metric.histogram("coderd_tailnet_update_latency_seconds", {
  description: "Seconds from the node of a peer on another replica until its partner here is told.",
  boundaries: Metric.boundariesFromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
})

export const derpMapFailures = counter("derp_map_failures_total", "Readings of the DERP map that gave no valid map.")

export const rowsWritten = counter("rows_written_total", "Changes of peers and tunnels that were written to the store.")

export const batchFailures = counter("batch_failures_total", "Batches of the tailnet that failed and are tried again.")

export const heartbeatFailures = counter("heartbeat_failures_total", "Heartbeats of this replica that failed.")

export const telemetryEvents = Counters.byLabel(
  counter("telemetry_events_total", "Events that clients have reported of their connections."),
  "result",
  ["received", "lost"]
)

/** Shows the metrics from zero on. */
export const register = Effect.andThen(
  Effect.all([Metric.value(peers), Metric.value(tunnels), Metric.value(updateLatency)]),
  Counters.fromZero([
    ...[updates, streamsEnded, refusals, telemetryEvents].flatMap((metrics) => Object.values(metrics)),
    throttled,
    derpMapFailures,
    rowsWritten,
    batchFailures,
    heartbeatFailures
  ])
)
