/**
 * Carries the calls of agents over their WebSockets in the original's protocol: dRPC over yamux, protobuf.
 *
 * - The handlers and the session are those of the contract. A connection in this protocol differs from a JSON
 *   connection in its bytes alone.
 * - The service reads more once the agent has taken its replies, is within its call rate, and has fewer than the
 *   maximum of calls running. A call of a message that was read waits until the agent has taken its replies, too.
 * - Frames count against the call rate, because an agent may send any number of them without a call.
 * - A client that breaks the protocol is closed with 1002. An agent reconnects after every close code.
 */
import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import type * as RequestBytes from "../platform/RequestBytes.ts"
import { drained, endWebSocket } from "../platform/RequestSocket.ts"
import * as SessionEnd from "../wire/SessionEnd.ts"
import * as WireServer from "../wire/WireServer.ts"
import * as AgentWebSocket from "./internal/agentWebSocket.ts"
import * as AgentCalls from "./wire/AgentCalls.ts"

export const make = Effect.fnUntraced(function* (options?: WireServer.Options) {
  const multiplexer = yield* AgentCalls.make
  const server = yield* WireServer.make(options)
  const openWebSocket = yield* AgentWebSocket.make

  return (request: HttpServerRequest.HttpServerRequest): AgentWebSocket.Lane => {
    let session: WireServer.WireSession | undefined
    let bytes: RequestBytes.RequestBytes | undefined
    const pingUnsafe: AgentWebSocket.Lane["pingUnsafe"] = (answered) => {
      if (session !== undefined) return session.pingUnsafe(answered)
      // a request that has just arrived is a sign of life
      answered()
      return () => {}
    }
    return {
      pingUnsafe,
      roundTrip: Effect.callback((resume) => Effect.sync(pingUnsafe(() => resume(Effect.void)))),
      heardAtUnsafe: () => session?.heardAtUnsafe() ?? 0,
      isBehindUnsafe: () => bytes?.isBehindUnsafe() ?? false,
      open: Effect.fnUntraced(function* (agentSocket) {
        const { serve, write } = (bytes = yield* openWebSocket(request, agentSocket))
        const connection = { ...agentSocket, drained: drained(request) }
        const opened = yield* server.open(multiplexer, connection, {
          write,
          drained: connection.drained,
          ended: (reason) => endWebSocket(request, SessionEnd.closeEventOf(reason))
        })
        session = opened
        return serve((messages) => agentSocket.rateLimiter.consumeUnsafe(opened.receive(messages)))
      })
    }
  }
})
