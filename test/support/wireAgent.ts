/** An agent of a test that speaks the original's protocol: one stream for each call, as stock agents do. */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import { NodeWS } from "@effect/platform-node"
import { Data, Deferred, Effect, Queue } from "effect"
import { path } from "../../src/agentapi/AgentSocketApi.ts"
import { nameOf } from "../../src/wire/DrpcMultiplexer.ts"
import type * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import * as YamuxFrame from "../../src/wire/YamuxFrame.ts"
import * as Wire from "../wire/support.ts"
import { Refused } from "./webSocket.ts"

/** A call failed with this code and text. */
export class CallFailed extends Data.TaggedError("CallFailed")<{ readonly code: number; readonly message: string }> {}

/** The connection or the stream ended before an answer came. */
export class Ended extends Data.TaggedError("Ended")<{}> {}

type Event = { readonly bytes: Uint8Array } | { readonly end: true }

export const connect = Effect.fnUntraced(function* (
  url: string,
  headers: Readonly<Record<string, string>>,
  search = "?version=2.10&role=agent"
) {
  const closed = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
  const streams = new Map<number, Queue.Queue<Event>>()
  let nextId = 1
  let isClosed = false
  const socket = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocket, Refused>((resume) => {
      const socket = new NodeWS.WebSocket(`${url.replace(/^http/, "ws")}${path}${search}`, { headers })
      socket
        .on("open", () => resume(Effect.succeed(socket)))
        .on("close", (code, reason) => {
          isClosed = true
          for (const stream of streams.values()) Queue.offerUnsafe(stream, { end: true })
          Deferred.doneUnsafe(closed, Effect.succeed({ code, reason: String(reason) }))
          // a connection that was cut before there was a response
          resume(Effect.fail(new Refused({ status: 0, headers: {}, body: "" })))
        })
        .on("error", () => {})
        .on("unexpected-response", (_, response) => {
          let body = ""
          response.setEncoding("utf8").on("data", (part) => (body += part))
          response.on("end", () =>
            resume(Effect.fail(new Refused({ status: response.statusCode!, headers: response.headers, body })))
          )
        })
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )
  let held: Array<Uint8Array> | undefined
  const send = (...frames: ReadonlyArray<Uint8Array>) =>
    Effect.sync(() => (held === undefined ? socket.send(Buffer.concat(frames)) : void held.push(...frames)))
  /** Sends everything that `effect` sends in one message of the WebSocket. */
  const together = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const frames: Array<Uint8Array> = []
      held = frames
      return Effect.onExit(effect, () =>
        Effect.suspend(() => {
          held = undefined
          return send(...frames)
        })
      )
    })

  let reading = 0
  const decoder = YamuxFrame.makeDecoder({
    header: (type, flags, streamId, length) => {
      reading = streamId
      if (type === YamuxFrame.Type.ping && (flags & Wire.Flag.syn) !== 0) {
        socket.send(Wire.frame(Wire.Type.ping, Wire.Flag.ack, 0, length))
      }
      const stream = streams.get(streamId)
      if ((flags & (Wire.Flag.fin | Wire.Flag.rst)) !== 0 && stream !== undefined)
        Queue.offerUnsafe(stream, { end: true })
      return undefined
    },
    body: (part) => void Queue.offerUnsafe(streams.get(reading)!, { bytes: new Uint8Array(part) })
  })
  socket.on("message", (data: Buffer) => void decoder.decode(data))

  /** Opens a stream with a call. */
  const start = Effect.fnUntraced(function* <I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    request: MessageInitShape<I>
  ) {
    const id = nextId
    nextId += 2
    const events = yield* Queue.unbounded<Event>()
    streams.set(id, events)
    if (isClosed) yield* Queue.offer(events, { end: true })
    const read = Wire.packetReader()
    const packets: Array<DrpcFrame.Packet> = []
    let messageId = 3
    const body = (message: MessageInitShape<I>) => toBinary(method.input, create(method.input, message))
    yield* send(
      Wire.open(id),
      Wire.data(
        id,
        Buffer.concat([
          Wire.packet(Wire.Kind.invoke, 1, 1, Wire.text(nameOf(method))),
          Wire.packet(Wire.Kind.message, 1, 2, body(request)),
          ...(method.methodKind === "unary" ? [Wire.packet(Wire.Kind.closeSend, 1, 3)] : [])
        ])
      )
    )
    const next: Effect.Effect<MessageShape<O>, CallFailed | Ended> = Effect.suspend(() => {
      const packet = packets.shift()
      if (packet === undefined) {
        return Effect.flatMap(Queue.take(events), (event) => {
          if ("end" in event) return Effect.fail(new Ended())
          packets.push(...read(event.bytes))
          return next
        })
      }
      if (packet.kind === Wire.Kind.message) return Effect.succeed(fromBinary(method.output, packet.body))
      if (packet.kind !== Wire.Kind.error) return Effect.fail(new Ended())
      const code = Number(Buffer.from(packet.body).readBigUInt64BE())
      return Effect.fail(new CallFailed({ code, message: Buffer.from(packet.body.subarray(8)).toString() }))
    })
    return {
      next,
      /** Lets the service send so many bytes more. */
      grant: (bytes: number) => send(Wire.frame(Wire.Type.windowUpdate, Wire.Flag.none, id, bytes)),
      send: (message: MessageInitShape<I>) =>
        send(Wire.data(id, Wire.packet(Wire.Kind.message, 1, messageId++, body(message)))),
      close: send(Wire.end(id))
    }
  })

  return {
    start,
    send,
    together,
    closed: Deferred.await(closed),
    /** Reads nothing until `resume`. */
    pause: Effect.sync(() => socket.pause()),
    resume: Effect.sync(() => socket.resume()),
    /** Makes a unary call. */
    call: <I extends DescMessage, O extends DescMessage>(
      method: DescMethod & { readonly input: I; readonly output: O },
      request: MessageInitShape<I>
    ) => Effect.flatMap(start(method, request), ({ close, next }) => Effect.ensuring(next, close))
  }
})
