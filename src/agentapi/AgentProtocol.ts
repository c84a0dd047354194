/**
 * Carries the calls of agents over their WebSockets, as JSON messages of `effect/rpc`.
 *
 * - A valid report is added to the batcher and gets its reply in the turn that read it: nearly all calls are reports.
 * - Every other message takes the ordinary path through `effect/rpc`. So does a report that is invalid or too large,
 *   before any of it is added. An agent cannot tell the two paths apart.
 * - If calls are traced, every call takes the ordinary path, which makes their spans.
 * - A message is taken once the agent has taken its replies, is within its call rate, and has fewer than the maximum of
 *   calls running. This holds for each message of a frame. Further frames stay unread.
 * - Calls run with the services of this layer. A connection has no context of its own, so no context is copied for it.
 */
import { Cause, type Context, Effect, ErrorReporter, Option, Queue, Result, Schema, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import type { Socket } from "effect/socket"
import * as LeanScope from "../platform/LeanScope.ts"
import * as Tracing from "../domain/Tracing.ts"
import { drained } from "../platform/RequestSocket.ts"
import { AgentApi } from "./AgentApi.ts"
import { type AgentSocket, AgentSockets } from "./AgentSockets.ts"
import * as Frames from "./internal/frames.ts"
import * as AgentWebSocket from "./internal/agentWebSocket.ts"
import * as SessionCalls from "./internal/sessionCalls.ts"
import * as Metadata from "./calls/Metadata.ts"

export const make = Effect.gen(function* () {
  const agentSockets = yield* AgentSockets
  const { addValid } = yield* Metadata.make
  const services = yield* Effect.context<never>()
  const isTraced = Tracing.isEnabled(services)
  const writers = new Map<number, (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>>()
  const disconnects = yield* Queue.make<number>()
  let connected = 0
  let dispatch!: Parameters<RpcServer.Protocol["Service"]["run"]>[0]

  const protocol = yield* RpcServer.Protocol.make((write) => {
    dispatch = write
    return Effect.succeed({
      disconnects,
      send: (clientId, response) => writers.get(clientId)?.(response) ?? Effect.void,
      end: () => Effect.void,
      clientIds: Effect.sync(() => new Set(writers.keys())),
      initialMessage: Effect.succeedNone,
      supportsAck: true,
      supportsTransferables: false,
      supportsSpanPropagation: true,
      supportsNotifications: true,
      codecFor: Frames.codecFor
    })
  })
  yield* RpcServer.make(AgentApi, { disableFatalDefects: true }).pipe(
    Effect.provideService(RpcServer.Protocol, protocol),
    Effect.forkScoped
  )

  const isReport = (message: RpcMessage.FromClientEncoded): message is RpcMessage.RequestEncoded =>
    Frames.isCall(message) &&
    message.tag === Metadata.BatchUpdateMetadata._tag &&
    message.discard !== true &&
    Frames.isId(message.id)

  /** Opens the WebSocket of a request. Returns what serves its messages, until it ends. */
  return Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest,
    agentSocket: AgentSocket
  ): Effect.fn.Return<Effect.Effect<void, Socket.SocketError>, Socket.SocketError, Scope.Scope> {
    const { callGate, rateLimiter, session } = agentSocket
    const ready = drained(request).pipe(Effect.andThen(callGate.ready), Effect.andThen(rateLimiter.ready))
    const { pull, write } = yield* AgentWebSocket.open(request, ready)
    const parser = Frames.makeParser()
    const id = connected++

    yield* LeanScope.acquireRelease(
      Effect.sync(() => {
        agentSockets.set(id, agentSocket)
        writers.set(id, (message) => Effect.orDie(write(parser.encode(message))))
      }),
      () => {
        agentSockets.delete(id)
        writers.delete(id)
        return Queue.offer(disconnects, id)
      }
    )

    const report = (call: RpcMessage.RequestEncoded) => {
      const payload = decode(call.payload)
      if (Option.isNone(payload)) return dispatch(id, call)
      return Effect.matchCauseEffect(addValid(session, payload.value), {
        onSuccess: (dropped) =>
          dropped < 0 ? dispatch(id, call) : write(parser.encodeSuccess(call.id, Metadata.resultOf(dropped))),
        // a part of the report may be added: it cannot take the ordinary path
        onFailure: (cause) => died(call.id, cause)
      })
    }

    const died = Effect.fnUntraced(function* (id: string | number, cause: Cause.Cause<never>) {
      yield* ErrorReporter.report(cause)
      yield* countFailure(cause)
      const encodedDefect = encodeDefect(Cause.squash(cause))
      const requestId = RpcMessage.RequestId(id)
      yield* write(parser.encode(RpcMessage.ResponseExitDieEncoded({ requestId, encodedDefect })))
    })

    const take = (message: RpcMessage.FromClientEncoded) => {
      rateLimiter.consumeUnsafe()
      return !isTraced && isReport(message) ? report(message) : dispatch(id, message)
    }

    const takeFrame = (frame: string | Uint8Array) =>
      Result.match(
        Result.try(() => parser.decode(frame)),
        {
          onFailure: (cause) => write(parser.encode(RpcMessage.ResponseDefectEncoded(encodeDefect(cause)))),
          onSuccess: (messages) =>
            messages.length === 1
              ? take(messages[0]!)
              : Effect.forEach(
                  messages,
                  (message) =>
                    Effect.andThen(
                      ready,
                      Effect.suspend(() => take(message))
                    ),
                  {
                    discard: true
                  }
                )
        }
      )

    return Effect.flatMap(pull, ([frame]) => takeFrame(frame)).pipe(
      Effect.forever({ disableYield: true }),
      Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void),
      Effect.updateContext((_: Context.Context<never>) => services)
    )
  })
})

const countFailure = SessionCalls.countFailure(Metadata.BatchUpdateMetadata._tag)

const encodeDefect = Schema.encodeSync(RpcSerialization.json.codecFor(Schema.Defect()))

const decode = Schema.decodeUnknownOption(RpcSerialization.json.codecFor(Metadata.BatchUpdateMetadata.payloadSchema))
