import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Queue } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { serveRoutes } from "../support/localServer.ts"
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
  const url = yield* serveRoutes(route)
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
