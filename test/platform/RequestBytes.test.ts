/** The bytes of a WebSocket, over a real connection. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Latch, Queue } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { ByteWebSocket } from "../../src/platform/ByteWebSocket.ts"
import * as RequestBytes from "../../src/platform/RequestBytes.ts"
import { serveRoutes } from "../support/localServer.ts"
import * as WebSocket from "../support/webSocket.ts"

/**
 * Serves WebSockets that write back what they receive, while `ready` is open and once `begun` is, until `over` is or the
 * client closes them.
 */
const serve = Effect.gen(function* () {
  const [begun, ready, over] = [Latch.makeUnsafe(true), Latch.makeUnsafe(true), Latch.makeUnsafe(false)]
  const received = yield* Queue.unbounded<ReadonlyArray<Uint8Array>>()
  const paused = yield* Queue.unbounded<void>()
  const ended = yield* Deferred.make<void>()
  class WatchedWebSocket extends ByteWebSocket {
    override pause() {
      super.pause()
      Queue.offerUnsafe(paused, undefined)
    }
  }
  const route = HttpRouter.add(
    "GET",
    "/",
    Effect.gen(function* () {
      const { serve, write } = yield* RequestBytes.open(yield* HttpServerRequest.HttpServerRequest, {
        isReadyUnsafe: () => ready.isOpen(),
        ready: ready.await
      })
      yield* begun.await
      const take = (messages: ReadonlyArray<Uint8Array>) => {
        Queue.offerUnsafe(received, messages)
        write(Buffer.concat(messages))
      }
      yield* Effect.raceFirst(serve(take), over.await)
      yield* Deferred.succeed(ended, undefined)
      return HttpServerResponse.empty()
    }).pipe(Effect.orDie)
  )
  const url = yield* serveRoutes(route, WatchedWebSocket)
  /** Takes so many bytes of what was received. */
  const take = Effect.fnUntraced(function* (count: number) {
    let text = ""
    while (text.length < count) text += String(Buffer.concat(yield* Queue.take(received)))
    return text
  })
  return { begun, ended: Deferred.await(ended), over, paused: Queue.take(paused), ready, received, take, url }
})

it.effect("bytes of a WebSocket are handed over in their order, and wait while the reader is not ready", () =>
  Effect.gen(function* () {
    const { ended, paused, ready, received, take, url } = yield* serve
    const { close, messages, send } = yield* WebSocket.connect(url)

    yield* send("a")
    assert.strictEqual(yield* take(1), "a")
    assert.strictEqual(yield* Queue.take(messages), "a")

    yield* ready.close
    for (const text of ["b", "c", "d"]) yield* send(text)
    yield* paused
    assert.strictEqual(yield* Queue.size(received), 0)
    yield* ready.open
    assert.strictEqual(yield* take(3), "bcd")

    yield* close
    yield* ended
  })
)

it.effect("bytes of a WebSocket wait in the network until their reader begins, and none is lost", () =>
  Effect.gen(function* () {
    const { begun, paused, take, url } = yield* serve
    yield* begun.close
    const { send } = yield* WebSocket.connect(url)

    yield* send("a")
    yield* paused
    yield* send("b")
    yield* begun.open

    assert.strictEqual(yield* take(2), "ab")
  })
)

it.effect(
  "a WebSocket whose reader is not ready closes at once when its scope does, and hands over nothing more",
  () =>
    Effect.gen(function* () {
      const { over, paused, ready, received, url } = yield* serve
      const { closed, send } = yield* WebSocket.connect(url)
      yield* ready.close
      yield* send("a")
      yield* paused

      yield* over.open

      assert.strictEqual((yield* closed).code, 1000)
      assert.strictEqual(yield* Queue.size(received), 0)
    }),
  // without an end of its own, a WebSocket waits 30 seconds for that of the client
  { timeout: 20_000 }
)
