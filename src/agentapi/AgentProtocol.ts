/**
 * Carries the calls of agents over their WebSockets, as JSON messages of `effect/rpc`.
 *
 * - A valid report is added to the batcher and gets its reply in the turn that takes it: nearly all calls are reports.
 * - Every other message takes the ordinary path through `effect/rpc`. So does a report that is invalid or too large,
 *   before any of it is added. An agent cannot tell the two paths apart.
 * - If calls are traced, every call takes the ordinary path, which makes their spans.
 * - A message is taken once the agent has taken its replies, is within its call rate, and has fewer than the maximum of
 *   calls running. This holds for each message of a frame. Further frames stay unread.
 * - Calls run with the services of this layer. A connection has no context of its own, so no context is copied for it.
 */
import { Cause, Effect, ErrorReporter, Fiber, Option, Queue, Schema, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import { closeEvent } from "../platform/CloseCode.ts"
import * as LeanScope from "../platform/LeanScope.ts"
import * as Tracing from "../domain/Tracing.ts"
import type * as RequestBytes from "../platform/RequestBytes.ts"
import { endWebSocket, pingUnsafe } from "../platform/RequestSocket.ts"
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
  const fork = Effect.runForkWith(services)
  const openWebSocket = yield* AgentWebSocket.make
  const isTraced = Tracing.isEnabled(services)
  const connections = new Map<number, Connection>()
  const disconnects = yield* Queue.make<number>()
  let connected = 0
  let dispatch!: Parameters<RpcServer.Protocol["Service"]["run"]>[0]

  const protocol = yield* RpcServer.Protocol.make((write) => {
    dispatch = write
    return Effect.succeed({
      disconnects,
      send: (clientId, response) => {
        const connection = connections.get(clientId)
        return connection === undefined ? Effect.void : reply(connection, connection.parser.encode(response))
      },
      end: () => Effect.void,
      clientIds: Effect.sync(() => new Set(connections.keys())),
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

  const remove = ({ id }: Connection) => {
    agentSockets.delete(id)
    connections.delete(id)
    return Queue.offer(disconnects, id)
  }

  const reply = ({ bytes }: Connection, message: string) => Effect.sync(() => bytes.write(message))

  const died = Effect.fnUntraced(function* (connection: Connection, id: string | number, cause: Cause.Cause<never>) {
    yield* ErrorReporter.report(cause)
    yield* countFailure(cause)
    const encodedDefect = encodeDefect(Cause.squash(cause))
    const requestId = RpcMessage.RequestId(id)
    yield* reply(connection, connection.parser.encode(RpcMessage.ResponseExitDieEncoded({ requestId, encodedDefect })))
  })

  const report = (connection: Connection, call: RpcMessage.RequestEncoded) => {
    const payload = decode(call.payload)
    if (Option.isNone(payload)) return dispatch(connection.id, call)
    return Effect.matchCauseEffect(addValid(connection.agentSocket.session, payload.value), {
      onSuccess: (dropped) =>
        dropped < 0
          ? dispatch(connection.id, call)
          : reply(connection, connection.parser.encodeSuccess(call.id, Metadata.resultOf(dropped))),
      // a part of the report may be added: it cannot take the ordinary path
      onFailure: (cause) => died(connection, call.id, cause)
    })
  }

  const take = (connection: Connection, message: RpcMessage.FromClientEncoded) => {
    connection.agentSocket.rateLimiter.consumeUnsafe()
    const taking = Effect.suspend(() =>
      !isTraced && isReport(message) ? report(connection, message) : dispatch(connection.id, message)
    )
    const fiber = fork(Effect.catchCause(taking, (cause) => end(connection.request, cause)))
    if (fiber.pollUnsafe() === undefined) Fiber.runIn(fiber, connection.scope)
  }

  /** Takes a message of a frame, and returns whether it was the last one. A frame without messages counts as a call. */
  const takeOne = (connection: Connection, frame: Uint8Array) => {
    connection.messages ??= messagesOf(connection, frame)
    const message = connection.messages.pop()
    const isLast = connection.messages.length === 0
    if (isLast) connection.messages = undefined
    if (message === undefined) connection.agentSocket.rateLimiter.consumeUnsafe()
    else take(connection, message)
    return isLast
  }

  return (request: HttpServerRequest.HttpServerRequest): AgentWebSocket.Lane => {
    let bytes: RequestBytes.RequestBytes | undefined
    return {
      pingUnsafe: (answered) => pingUnsafe(request, answered),
      roundTrip: Effect.suspend(() => bytes?.roundTrip ?? Effect.void),
      isBehindUnsafe: () => bytes?.isBehindUnsafe() ?? false,
      open: Effect.fnUntraced(function* (agentSocket) {
        const scope = yield* Effect.scope
        const opened = yield* openWebSocket(request, agentSocket)
        bytes = opened
        const parser = Frames.makeParser()
        const connection: Connection = {
          id: connected++,
          request,
          agentSocket,
          bytes: opened,
          parser,
          scope,
          messages: undefined
        }
        yield* LeanScope.acquireRelease(
          Effect.sync(() => {
            agentSockets.set(connection.id, agentSocket)
            connections.set(connection.id, connection)
            return connection
          }),
          remove
        )
        return opened.serve(([frame]) => (takeOne(connection, frame!) ? 1 : 0))
      })
    }
  }
})

interface Connection {
  /** The id of the RPC client. */
  readonly id: number
  readonly request: HttpServerRequest.HttpServerRequest
  readonly agentSocket: AgentSocket
  readonly bytes: RequestBytes.RequestBytes
  readonly parser: Frames.Parser
  readonly scope: Scope.Scope
  /** The messages of the frame that is being taken, the next one last. */
  messages: Array<RpcMessage.FromClientEncoded> | undefined
}

const isReport = (message: RpcMessage.FromClientEncoded): message is RpcMessage.RequestEncoded =>
  Frames.isCall(message) &&
  message.tag === Metadata.BatchUpdateMetadata._tag &&
  message.discard !== true &&
  Frames.isId(message.id)

/** Returns the messages of a frame, the first one last. A frame that holds no messages gets an error as its reply. */
const messagesOf = ({ bytes, parser }: Connection, frame: Uint8Array) => {
  try {
    return parser.decode(frame).toReversed()
  } catch (cause) {
    bytes.write(parser.encode(RpcMessage.ResponseDefectEncoded(encodeDefect(cause))))
    return []
  }
}

/** Ends a connection whose message could not be taken, unless it ends already: that alone interrupts the taking. */
const end = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, cause: Cause.Cause<never>) {
  if (Cause.hasInterruptsOnly(cause)) return
  yield* ErrorReporter.report(cause)
  yield* endWebSocket(request, closeEvent("failure", "failure of the service"))
})

const countFailure = SessionCalls.countFailure(Metadata.BatchUpdateMetadata._tag)

const encodeDefect = Schema.encodeSync(RpcSerialization.json.codecFor(Schema.Defect()))

const decode = Schema.decodeUnknownOption(RpcSerialization.json.codecFor(Metadata.BatchUpdateMetadata.payloadSchema))
