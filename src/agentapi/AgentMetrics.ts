/** The metrics of agent connections and of builds. */
import { Metric } from "effect"
import { byLabel, counter } from "../domain/Counters.ts"
import * as SocketFailure from "../platform/SocketFailure.ts"

/** Agents connected to this replica. */
export const connectedAgents = Metric.gauge("coderd_agentapi_connected_agents", {
  description: "Agents that are connected to this replica."
})

/** Agent connections that ended with a socket error instead of a close frame, by the reason. */
export const socketErrors = byLabel(
  counter("metadata_batcher_agent_socket_errors_total", "Agent connections that ended with a socket error, by reason."),
  "reason",
  SocketFailure.reasons
)

/** Agent connections that ended because the agent did not answer pings. */
export const pingTimeouts = counter(
  "metadata_batcher_agent_ping_timeouts_total",
  "Agent connections that ended because the agent did not answer pings."
)

/** Reported samples of keys that their agents have not declared. */
export const undeclaredKeys = counter(
  "coderd_agentapi_metadata_undeclared_keys_total",
  "Reported samples that were dropped because the agent has not declared their keys."
)

/** The time from the creation of a build until the last of its agents has ended its startup. */
export const buildDuration = Metric.histogram("coderd_template_workspace_build_duration_seconds", {
  description: "Seconds from the creation of a workspace build until the last of its agents has ended its startup.",
  boundaries: Metric.boundariesFromIterable([1, 10, 30, 60, 300, 600, 1_800, 3_600])
})
