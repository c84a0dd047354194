/**
 * How calls of agents come in over their WebSockets, and answers go out: two lanes into the same handlers.
 *
 * - A call is the business of `effect/rpc`, but for reports, which are nearly all that agents send. A report begins at once,
 *   in the turn that read it; when it has succeeded by then, as it nearly always has, it is answered on the spot.
 * - Whatever else comes of a report is the business of `effect/rpc` too: one that is refused or malformed is handed on as
 *   it came, one that has failed or is not over yet as what has {@link Begun}. Its answer, its interruption and what is
 *   logged of it are those of any other call. The agent cannot tell the lanes apart.
 * - Where calls are traced all of them go the way that makes their spans.
 * - Calls run with the services of this layer: nothing of a connection is in a context, none of which is copied for it.
 * - The connection of an agent that does not take its answers, or that calls too often, is read from no faster than that.
 */
import { Context, Effect, Exit, Fiber, Option, Queue, Result, Schema, Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import type { Socket } from "effect/socket"
import * as Traced from "../domain/Traced.ts"
import { paced } from "../platform/RequestSocket.ts"
import { AgentApi } from "./AgentApi.ts"
import { type AgentConnection, AgentConnections } from "./AgentConnections.ts"
import { Begun } from "./internal/begun.ts"
import * as Frames from "./internal/frames.ts"
import * as Metadata from "./calls/Metadata.ts"

export const make = Effect.gen(function* () {
  const connections = yield* AgentConnections
  const { report } = yield* Metadata.make
  const services = yield* Effect.context<never>()
  const isTraced = Traced.isTraced(services)
  const fork = Effect.runForkWith(services)
  const writers = new Map<number, (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>>()
  const disconnects = yield* Queue.make<number>()
  let connected = 0
  let handOn!: Parameters<RpcServer.Protocol["Service"]["run"]>[0]

  const protocol = yield* RpcServer.Protocol.make((write) => {
    handOn = write
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

  const isPrompt = (message: RpcMessage.FromClientEncoded): message is RpcMessage.RequestEncoded =>
    !isTraced &&
    Frames.isCall(message) &&
    message.tag === Metadata.BatchUpdateMetadata._tag &&
    message.discard !== true &&
    Frames.isId(message.id)

  /** Serves what comes over the WebSocket of a request, until that has ended. */
  return Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest,
    connection: AgentConnection
  ): Effect.fn.Return<void, Socket.SocketError, Scope.Scope> {
    const { pull, write } = yield* open(paced(request, connection.rate.ready))
    const scope = yield* Effect.scope
    const parser = Frames.makeParser()
    const id = connected++

    yield* Effect.acquireRelease(
      Effect.sync(() => {
        connections.set(id, connection)
        writers.set(id, (message) => Effect.orDie(write(parser.encode(message))))
      }),
      () => {
        connections.delete(id)
        writers.delete(id)
        return Queue.offer(disconnects, id)
      }
    )

    const begin = (call: RpcMessage.RequestEncoded) => {
      const payload = decode(call.payload)
      if (Option.isNone(payload)) return handOn(id, call)
      const fiber = fork(report(connection.session.identity.agentId, payload.value))
      const exit = fiber.pollUnsafe()
      if (exit !== undefined && Exit.isSuccess(exit)) {
        connection.rate.spendUnsafe()
        return write(parser.encodeSuccess(call.id))
      }
      // a server that stops does not take it over
      Fiber.runIn(fiber, scope)
      const outcome = Effect.onInterrupt(Fiber.join(fiber), () => Fiber.interrupt(fiber))
      return handOn(id, { ...call, payload: new Begun(outcome) })
    }

    const take = (message: RpcMessage.FromClientEncoded) => (isPrompt(message) ? begin(message) : handOn(id, message))

    const takeFrame = (frame: string | Uint8Array) =>
      Result.match(
        Result.try(() => parser.decode(frame)),
        {
          onFailure: (cause) => write(parser.encode(RpcMessage.ResponseDefectEncoded(encodeDefect(cause)))),
          onSuccess: (messages) =>
            messages.length === 1 ? take(messages[0]!) : Effect.forEach(messages, take, { discard: true })
        }
      )

    yield* Effect.flatMap(pull, (frames) =>
      frames.length === 1 ? takeFrame(frames[0]) : Effect.forEach(frames, takeFrame, { discard: true })
    ).pipe(
      Effect.forever({ disableYield: true }),
      Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void),
      Effect.updateContext((_: Context.Context<never>) => services)
    )
  })
})

/** The WebSocket of a request. It keeps the context that it is opened in, and copies that for itself. */
const open = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.gen(function* () {
    const socket = yield* Effect.orDie(request.upgrade)
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader
    return { pull, write }
  }).pipe(
    Effect.updateContext((context: Context.Context<Scope.Scope>) =>
      Context.make(Scope.Scope, Context.get(context, Scope.Scope))
    )
  )

const encodeDefect = Schema.encodeSync(RpcSerialization.json.codecFor(Schema.Defect()))

const decode = Schema.decodeUnknownOption(RpcSerialization.json.codecFor(Metadata.BatchUpdateMetadata.payloadSchema))
