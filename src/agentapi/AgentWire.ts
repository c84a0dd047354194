/**
 * Carries the calls of agents over their WebSockets in the original's protocol: dRPC over yamux, protobuf.
 *
 * - The handlers and the session are those of the contract. A connection in this protocol differs from a JSON
 *   connection in its bytes alone.
 * - The service reads more once the agent has taken its replies, is within its call rate, and has fewer than the
 *   maximum of calls running.
 * - A client that breaks the protocol is closed with 1002. An agent reconnects after every close code.
 */
import { Effect, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Socket } from "effect/socket"
import { closeEvent } from "../platform/CloseCode.ts"
import { drained } from "../platform/RequestSocket.ts"
import * as WireServer from "../wire/WireServer.ts"
import type { AgentSocket } from "./AgentSockets.ts"
import * as AgentWebSocket from "./internal/agentWebSocket.ts"
import * as AgentCalls from "./wire/AgentCalls.ts"

/** A connection that is ready to be served. */
export interface AgentWire {
  /** Pings the agent, and waits for its answer. */
  readonly ping: Effect.Effect<void>
  /** Opens the WebSocket of the request. Returns what serves its calls, until it ends. */
  readonly open: (
    agentSocket: AgentSocket
  ) => Effect.Effect<Effect.Effect<void, Socket.SocketError>, Socket.SocketError, Scope.Scope>
}

export const make = Effect.fnUntraced(function* (options?: WireServer.Options) {
  const multiplexer = yield* AgentCalls.make
  const server = yield* WireServer.make(options)

  return (request: HttpServerRequest.HttpServerRequest): AgentWire => {
    // a request that has just arrived is a sign of life
    let ping: Effect.Effect<void> = Effect.void
    return {
      ping: Effect.suspend(() => ping),
      open: Effect.fnUntraced(function* (agentSocket) {
        const { callGate, rateLimiter } = agentSocket
        const ready = drained(request).pipe(Effect.andThen(callGate.ready), Effect.andThen(rateLimiter.ready))
        const { pull, write } = yield* AgentWebSocket.openForAll(request, ready)
        const session = yield* server.open(multiplexer, agentSocket, {
          pull: pull as Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError>,
          write,
          drained: drained(request)
        })
        ping = session.ping
        return Effect.flatMap(session.serve, (reason) =>
          write(
            reason === "closed" || reason === "client gone away"
              ? new Socket.CloseEvent(1000)
              : reason === "keepalive timeout"
                ? closeEvent("failure", reason)
                : new Socket.CloseEvent(1002, reason)
          )
        ).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))
      })
    }
  }
})
