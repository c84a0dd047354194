import { NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import { ByteWebSocket } from "../../src/platform/ByteWebSocket.ts"
import * as WebSocket from "../support/webSocket.ts"

/** Serves WebSockets whose frames are put into a queue. */
const serve = Effect.gen(function* () {
  const frames = yield* Queue.unbounded<string | Uint8Array>()
  const ended = yield* Deferred.make<void>()
  const route = HttpRouter.add(
    "GET",
    "/",
    Effect.gen(function* () {
      const socket = yield* Effect.orDie((yield* HttpServerRequest.HttpServerRequest).upgrade)
      const { pull } = yield* socket.reader
      yield* Effect.forever(Effect.flatMap(pull, (pulled) => Queue.offerAll(frames, pulled))).pipe(Effect.ignore)
      yield* Deferred.succeed(ended, undefined)
      return HttpServerResponse.empty()
    })
  )
  const services = yield* Layer.build(
    HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(() => createServer(), {
          port: 0,
          host: "127.0.0.1",
          gracefulShutdownTimeout: "100 millis",
          websocket: { WebSocket: ByteWebSocket }
        })
      )
    )
  )
  const url = NetAddress.formatUrlUnsafe(Context.get(services, HttpServer.HttpServer).address)
  return { ended: Deferred.await(ended), frames, url }
})

it.effect("a ByteWebSocket hands on text as the bytes that came in, bytes as they are, and its end", () =>
  Effect.gen(function* () {
    const { ended, frames, url } = yield* serve
    const { close, send } = yield* WebSocket.connect(url)
    const text = "a text, with an umlaut: ü"

    yield* send(text)
    yield* send(Uint8Array.of(0, 255))

    for (const sent of [Buffer.from(text), Uint8Array.of(0, 255)]) {
      const frame = yield* Queue.take(frames)
      assert.instanceOf(frame, Uint8Array)
      assert.deepStrictEqual([...frame], [...sent])
    }
    yield* close
    yield* ended
  })
)
