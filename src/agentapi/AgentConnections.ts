/**
 * The connections of agents to this replica, by the number that each has: where a call finds the session that it acts for.
 */
import { Context, Layer } from "effect"
import type { AgentSession } from "./session/AgentSession.ts"
import type { CallRate } from "./RateLimiter.ts"

export interface AgentConnection {
  readonly session: AgentSession["Service"]
  /** How often the agent may call. */
  readonly rate: CallRate
}

export class AgentConnections extends Context.Service<AgentConnections, Map<number, AgentConnection>>()(
  "metadata-batcher/agentapi/AgentConnections"
) {}

export const layer: Layer.Layer<AgentConnections> = Layer.sync(AgentConnections, () => new Map())
