/** Pings over real WebSockets of the platform's server. */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { webSocketOf } from "../../src/platform/ByteWebSocket.ts"
import { drained, ping, roundTrip } from "../../src/platform/RequestSocket.ts"
import { serveRoutes } from "../support/localServer.ts"
import * as WebSocket from "../support/webSocket.ts"

/** Serves WebSockets that say "ready", ping when they hear something, and say "answered" when that was answered. */
const serveWith = Effect.fnUntraced(function* (
  ping: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<void>
) {
  const route = HttpRouter.add(
    "GET",
    "/",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      // nobody is there yet who could answer
      yield* ping(request)
      const socket = yield* Effect.orDie(request.upgrade)
      const { write } = yield* socket.writer
      const ready = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Deferred.await(ready).pipe(Effect.andThen(ping(request)), Effect.andThen(write("answered")))
      )
      const { pull } = yield* socket.reader
      yield* write("ready")
      yield* Effect.forever(
        Effect.flatMap(pull, (frames) => {
          for (const frame of frames) assert.strictEqual(String(Buffer.from(frame as Uint8Array)), "ping me")
          return Deferred.succeed(ready, undefined)
        })
      ).pipe(Effect.ignore)
      return HttpServerResponse.empty()
    })
  )
  return yield* serveRoutes(route)
})

const serve = serveWith(ping)

describe("a round trip", () => {
  it.effect("ends with the pong of its ping, not with other data", () =>
    Effect.gen(function* () {
      const url = yield* serveWith(roundTrip)
      const silent = yield* WebSocket.connect(url, {}, { answersPings: false })
      yield* Queue.take(silent.messages)
      yield* silent.send("ping me")
      yield* Queue.take(silent.pings)
      yield* silent.send("ping me")
      // a pong of no ping
      yield* silent.pong

      const prompt = yield* WebSocket.connect(url)
      yield* Queue.take(prompt.messages)
      yield* prompt.send("ping me")

      assert.strictEqual(yield* Queue.take(prompt.messages), "answered")
      assert.strictEqual(yield* Queue.size(silent.messages), 0)
    })
  )
})

describe("a ping", () => {
  it.effect("succeeds at once, and costs nothing, while the request is no WebSocket yet", () =>
    Effect.gen(function* () {
      const { messages, pings } = yield* WebSocket.connect(yield* serve)

      assert.strictEqual(yield* Queue.take(messages), "ready")
      assert.strictEqual(yield* Queue.size(pings), 0)
    })
  )

  it.effect("succeeds once the client has responded to it, and not before", () =>
    Effect.gen(function* () {
      const { messages, pings, pong, send } = yield* WebSocket.connect(yield* serve, {}, { answersPings: false })
      yield* Queue.take(messages)

      yield* send("ping me")
      yield* Queue.take(pings)
      assert.strictEqual(yield* Queue.size(messages), 0)
      yield* pong

      assert.strictEqual(yield* Queue.take(messages), "answered")
    })
  )
})

describe("the drain of a connection", () => {
  it.effect("is awaited by one listener for all streams of the connection [WI-44]", () =>
    Effect.gen(function* () {
      const waiting = yield* Deferred.make<number>()
      const route = HttpRouter.add(
        "GET",
        "/",
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const tcp = NodeHttpServerRequest.toIncomingMessage(request).socket
          const socket = yield* Effect.orDie(request.upgrade)
          const { write } = yield* socket.writer
          yield* socket.reader
          webSocketOf(tcp)!.send("x".repeat(20_000_000))
          const before = tcp.listenerCount("drain")
          const streams = yield* Effect.forkChild(
            Effect.forEach(Array.from({ length: 50 }), () => drained(request), { concurrency: "unbounded" }),
            { startImmediately: true }
          )
          yield* Deferred.succeed(waiting, tcp.listenerCount("drain") - before)
          yield* Fiber.join(streams)
          yield* Effect.orDie(write("drained"))
          return HttpServerResponse.empty()
        })
      )
      const { messages, tcp } = yield* WebSocket.connect(yield* serveRoutes(route))
      tcp.pause()

      // Node warns of a leak when there are more than ten
      assert.strictEqual(yield* Deferred.await(waiting), 1)
      tcp.resume()
      assert.strictEqual(yield* Effect.repeat(Queue.take(messages), { until: (text) => text.length < 100 }), "drained")
    })
  )
})
