/** The WebSocket of an agent's request, whichever protocol it carries. */
import { Context, Effect, Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Socket } from "effect/socket"
import { FairReader } from "../../platform/FairReader.ts"
import * as RequestBytes from "../../platform/RequestBytes.ts"
import type { AgentSocket } from "../AgentSockets.ts"

/** A connection in one of the protocols. Its WebSocket may not be open yet. */
export interface Lane {
  /** Pings the agent, and calls `answered` when it has answered. Returns what forgets the ping. */
  readonly pingUnsafe: (answered: () => void) => () => void
  /** Pings the agent, and returns when all is taken that the agent has sent before its answer. */
  readonly roundTrip: Effect.Effect<void>
  /** The monotonic time, in milliseconds, at which the agent last sent something but an answer to a ping, if known. */
  readonly heardAtUnsafe?: (() => number) | undefined
  /** Whether messages of the agent wait for their turn. */
  readonly isBehindUnsafe: () => boolean
  /** Opens the WebSocket of the request. Returns what serves its calls, until it ends. */
  readonly open: (
    agentSocket: AgentSocket
  ) => Effect.Effect<Effect.Effect<void, Socket.SocketError>, Socket.SocketError, Scope.Scope>
}

/**
 * Makes the function that opens the WebSocket of a request for an agent, which is read while the agent is within its
 * call rate and has fewer than the maximum of calls running. A WebSocket keeps the context in which it is opened, so that
 * context holds nothing but the scope.
 */
export const make = Effect.map(
  FairReader,
  (reader) => (request: HttpServerRequest.HttpServerRequest, agentSocket: AgentSocket) =>
    Effect.updateContext(
      RequestBytes.open(request, reader, new AgentReadiness(agentSocket)),
      (context: Context.Context<Scope.Scope>) => Context.make(Scope.Scope, Context.get(context, Scope.Scope))
    )
)

class AgentReadiness implements RequestBytes.Readiness {
  readonly #agentSocket: AgentSocket

  constructor(agentSocket: AgentSocket) {
    this.#agentSocket = agentSocket
  }

  isReadyUnsafe() {
    const { callGate, rateLimiter } = this.#agentSocket
    return !callGate.isFullUnsafe() && rateLimiter.isReadyUnsafe()
  }

  get ready() {
    const { callGate, rateLimiter } = this.#agentSocket
    return Effect.andThen(callGate.ready, rateLimiter.ready)
  }
}
