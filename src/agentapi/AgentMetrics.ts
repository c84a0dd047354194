/** What is counted of connected agents. */
import { Metric } from "effect"

/** Agents connected to this replica. */
export const connectedAgents = Metric.gauge("coderd_agentapi_connected_agents", {
  description: "Agents that are connected to this replica."
})
