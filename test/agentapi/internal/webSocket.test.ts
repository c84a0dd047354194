/** Pings over a real WebSocket of the platform's server. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import { ping } from "../../../src/agentapi/internal/webSocket.ts"
import * as WebSocket from "../../support/webSocket.ts"

/** Serves WebSockets that say "ready", ping when they hear something, and say "answered" when that was answered. */
const serve = Effect.gen(function* () {
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
          for (const frame of frames) assert.strictEqual(frame, "ping me")
          return Deferred.succeed(ready, undefined)
        })
      ).pipe(Effect.ignore)
      return HttpServerResponse.empty()
    })
  )
  const services = yield* Layer.build(
    HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
    )
  )
  return NetAddress.formatUrlUnsafe(Context.get(services, HttpServer.HttpServer).address)
})

describe("a ping", () => {
  it.effect("is answered at once, and takes nothing, while the request is no WebSocket yet", () =>
    Effect.gen(function* () {
      const { messages, pings } = yield* WebSocket.connect(yield* serve)

      assert.strictEqual(yield* Queue.take(messages), "ready")
      assert.strictEqual(yield* Queue.size(pings), 0)
    })
  )

  it.effect("succeeds once the client has answered it, and not before", () =>
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
