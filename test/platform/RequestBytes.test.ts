/** The bytes of a WebSocket, over a real connection. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Latch, Layer, Queue } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import { ByteWebSocket } from "../../src/platform/ByteWebSocket.ts"
import * as RequestBytes from "../../src/platform/RequestBytes.ts"
import * as WebSocket from "../support/webSocket.ts"

/** Serves WebSockets that write back what they receive, while the latch is open. */
const serve = Effect.fnUntraced(function* (latch: Latch.Latch) {
  const received = yield* Queue.unbounded<ReadonlyArray<Uint8Array>>()
  const asked = yield* Queue.unbounded<boolean>()
  const ended = yield* Deferred.make<void>()
  const route = HttpRouter.add(
    "GET",
    "/",
    Effect.gen(function* () {
      const { serve, write } = yield* RequestBytes.open(yield* HttpServerRequest.HttpServerRequest, {
        isReadyUnsafe: () => {
          Queue.offerUnsafe(asked, latch.isOpen())
          return latch.isOpen()
        },
        ready: latch.await
      })
      yield* serve((messages) => {
        Queue.offerUnsafe(received, messages)
        write(Buffer.concat(messages))
      })
      yield* Deferred.succeed(ended, undefined)
      return HttpServerResponse.empty()
    }).pipe(Effect.orDie)
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
  return { asked, ended: Deferred.await(ended), received, url }
})

it.effect("bytes of a WebSocket are handed over in their order, and wait while the reader is not ready", () =>
  Effect.gen(function* () {
    const latch = Latch.makeUnsafe(true)
    const { asked, ended, received, url } = yield* serve(latch)
    const { close, messages, send } = yield* WebSocket.connect(url)

    yield* send("a")
    assert.deepStrictEqual(String(Buffer.concat(yield* Queue.take(received))), "a")
    assert.strictEqual(yield* Queue.take(messages), "a")

    yield* latch.close
    for (const text of ["b", "c", "d"]) yield* send(text)
    yield* Effect.repeat(Queue.take(asked), { until: (isReady) => !isReady })
    assert.strictEqual(yield* Queue.size(received), 0)
    yield* latch.open
    let text = ""
    while (text.length < 3) text += String(Buffer.concat(yield* Queue.take(received)))
    assert.strictEqual(text, "bcd")

    yield* close
    yield* ended
  })
)
