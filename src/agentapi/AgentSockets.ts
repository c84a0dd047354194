/** The WebSockets of agents on this replica, by the id of their RPC client: a call finds its session here. */
import { Context, Layer } from "effect"
import type { AgentSession } from "./session/AgentSession.ts"
import type { CallGate } from "./internal/callGate.ts"
import type { RateLimiter } from "./RateLimiter.ts"

export interface AgentSocket {
  readonly session: AgentSession["Service"]
  /** A transport counts each message here, and waits for it before it takes the next one. */
  readonly rateLimiter: RateLimiter
  /** The handlers count running calls here; a transport waits for it before it starts the next one. */
  readonly callGate: CallGate
}

export class AgentSockets extends Context.Service<AgentSockets, Map<number, AgentSocket>>()(
  "metadata-batcher/agentapi/AgentSockets"
) {}

export const layer: Layer.Layer<AgentSockets> = Layer.sync(AgentSockets, () => new Map())
