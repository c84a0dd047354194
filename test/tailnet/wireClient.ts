/** A client of the tailnet over a real WebSocket, yamux and dRPC: one call of Coordinate, or one unary call. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import type { MessageInitShape } from "@bufbuild/protobuf"
import { NodeWS } from "@effect/platform-node"
import { type Cause, Deferred, Effect, Queue } from "effect"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import {
  CoordinateRequestSchema,
  type CoordinateResponse,
  CoordinateResponseSchema
} from "../../src/wire/generated/tailnet_pb.ts"
import { data, Flag, frame as frameOf, frames, Kind, open, packets, text, Type } from "../wire/support.ts"

export interface WireClient {
  readonly coordinate: (request: MessageInitShape<typeof CoordinateRequestSchema>) => Effect.Effect<void>
  readonly next: Effect.Effect<CoordinateResponse, Cause.Done>
  /** Makes a unary call on a stream of its own. */
  readonly unary: (name: string, request: Uint8Array) => Effect.Effect<Uint8Array, string>
  /** Sends any bytes. */
  readonly send: (bytes: Uint8Array) => Effect.Effect<void>
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  readonly close: Effect.Effect<void>
}

const pong = (value: number) => frameOf(Type.ping, Flag.ack, 0, value)

/** Connects, and opens the call of Coordinate on the first stream. */
export const connect = Effect.fnUntraced(function* (url: string, headers: Readonly<Record<string, string>>) {
  const responses = yield* Queue.unbounded<CoordinateResponse, Cause.Done>()
  const closed = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
  const bodies = new Map<number, Array<Uint8Array>>()
  const waiting = new Map<number, Deferred.Deferred<Uint8Array, string>>()
  let taken = 0

  const receive = (bytes: Uint8Array) => {
    for (const frame of frames([bytes])) {
      if (frame.type === Type.ping && frame.flags === Flag.syn) socket.send(pong(frame.length))
      if (frame.type !== Type.data) continue
      const held = bodies.get(frame.streamId) ?? []
      bodies.set(frame.streamId, held)
      held.push(frame.body)
      const all = packets(held)
      if (frame.streamId === 1) {
        for (const { body, kind } of all.slice(taken)) {
          if (kind === Kind.message) Queue.offerUnsafe(responses, fromBinary(CoordinateResponseSchema, body))
          else Queue.endUnsafe(responses)
        }
        taken = all.length
      } else if (all.length > 0) {
        const { body, kind } = all[0]!
        Deferred.doneUnsafe(
          waiting.get(frame.streamId)!,
          kind === Kind.message ? Effect.succeed(body) : Effect.fail(String(Buffer.from(body.subarray(8))))
        )
      }
    }
  }

  const socket = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocket, { readonly status: number; readonly body: string }>((resume) => {
      const socket = new NodeWS.WebSocket(url.replace(/^http/, "ws"), { headers })
      socket
        .on("open", () => resume(Effect.succeed(socket)))
        .on("message", (bytes) => receive(new Uint8Array(bytes as Buffer)))
        .on("close", (code, reason) => {
          Deferred.doneUnsafe(closed, Effect.succeed({ code, reason: String(reason) }))
          Queue.endUnsafe(responses)
          // nobody listens there
          resume(Effect.fail({ status: 0, body: "" }))
        })
        .on("error", () => {})
        .on("unexpected-response", (_, response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk) => chunks.push(chunk))
          response.on("end", () =>
            resume(Effect.fail({ status: response.statusCode ?? 0, body: String(Buffer.concat(chunks)) }))
          )
        })
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

  let messageId = 1
  const send = (streamId: number, kind: number, id: number, body: Uint8Array) =>
    socket.send(data(streamId, DrpcFrame.encode(kind, 1, id, body)))
  socket.send(open(1))
  send(1, Kind.invoke, messageId, text("/coder.tailnet.v2.Tailnet/Coordinate"))
  let nextStream = 3

  const client: WireClient = {
    coordinate: (request) =>
      Effect.sync(() =>
        send(1, Kind.message, ++messageId, toBinary(CoordinateRequestSchema, create(CoordinateRequestSchema, request)))
      ),
    next: Queue.take(responses),
    unary: (name, request) =>
      Effect.suspend(() => {
        const streamId = nextStream
        nextStream += 2
        const response = Deferred.makeUnsafe<Uint8Array, string>()
        waiting.set(streamId, response)
        socket.send(open(streamId))
        send(streamId, Kind.invoke, 1, text(name))
        send(streamId, Kind.message, 2, request)
        send(streamId, Kind.closeSend, 3, new Uint8Array())
        return Deferred.await(response)
      }),
    send: (bytes) => Effect.sync(() => socket.send(bytes)),
    closed: Deferred.await(closed),
    close: Effect.sync(() => socket.close(1000))
  }
  return client
})
