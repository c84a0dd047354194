/** The messages of a WebSocket, over a real connection. */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch, Queue } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { ByteWebSocket } from "../../src/platform/ByteWebSocket.ts"
import * as FairReader from "../../src/platform/FairReader.ts"
import * as RequestBytes from "../../src/platform/RequestBytes.ts"
import { serveRoutes } from "../support/localServer.ts"
import * as WebSocket from "../support/webSocket.ts"

/**
 * Serves WebSockets that write back what they receive, while `ready` is open and once `begun` is, until `over` is or the
 * client closes them. They take `most` messages at a time.
 */
const serveWith = Effect.fnUntraced(function* (fairReader: FairReader.FairReader["Service"], most = Infinity) {
  const [begun, ready, over] = [Latch.makeUnsafe(true), Latch.makeUnsafe(true), Latch.makeUnsafe(false)]
  const received = yield* Queue.unbounded<ReadonlyArray<Uint8Array>>()
  const paused = yield* Queue.unbounded<void>()
  const ended = yield* Deferred.make<void>()
  const opened = yield* Deferred.make<RequestBytes.RequestBytes>()
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
      const bytes = yield* RequestBytes.open(yield* HttpServerRequest.HttpServerRequest, fairReader, {
        isReadyUnsafe: () => ready.isOpen(),
        ready: ready.await
      })
      yield* Deferred.succeed(opened, bytes)
      yield* begun.await
      const take = (messages: ReadonlyArray<Uint8Array>) => {
        const taken = messages.slice(0, most)
        Queue.offerUnsafe(received, taken)
        bytes.write(Buffer.concat(taken))
        return taken.length
      }
      yield* Effect.raceFirst(bytes.serve(take), over.await)
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
  return {
    begun,
    ended: Deferred.await(ended),
    opened: Deferred.await(opened),
    over,
    paused: Queue.take(paused),
    ready,
    received,
    take,
    url
  }
})

const serve = Effect.flatMap(FairReader.make(), serveWith)

/** As `serve`, with turns that the test makes: `waiting` has the readers that are waiting for theirs. */
const serveInTurns = Effect.fnUntraced(function* (most?: number) {
  const waiting = yield* Queue.unbounded<() => void>()
  const served = yield* serveWith({ addUnsafe: (read) => void Queue.offerUnsafe(waiting, read) }, most)
  const turn = Effect.map(Queue.take(waiting), (read) => read())
  return { ...served, turn, waiting }
})

/** As many bytes as may wait. */
const large = "x".repeat(16 * 1024)

it.effect("bytes of a WebSocket are handed over in their order, and wait while the reader is not ready", () =>
  Effect.gen(function* () {
    const { ended, paused, ready, received, take, url } = yield* serve
    const { close, messages, send } = yield* WebSocket.connect(url)

    yield* send("a")
    assert.strictEqual(yield* take(1), "a")
    assert.strictEqual(yield* Queue.take(messages), "a")

    yield* ready.close
    for (const text of ["b", large, "d"]) yield* send(text)
    yield* paused
    assert.strictEqual(yield* Queue.size(received), 0)
    yield* ready.open
    assert.strictEqual(yield* take(large.length + 2), `b${large}d`)

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
      yield* send(large)
      yield* send("a")
      yield* paused

      yield* over.open

      assert.strictEqual((yield* closed).code, 1000)
      assert.strictEqual(yield* Queue.size(received), 0)
    }),
  // without an end of its own, a WebSocket waits 30 seconds for that of the client
  { timeout: 20_000 }
)

it.effect("messages are not handed over within the turn that reads them [SL-06]", () =>
  Effect.gen(function* () {
    const { received, take, turn, url, waiting } = yield* serveInTurns()
    const { send } = yield* WebSocket.connect(url)

    yield* send("a")
    const read = yield* Queue.take(waiting)
    assert.strictEqual(yield* Queue.size(received), 0)
    yield* send("b")
    read()

    yield* turn
    assert.strictEqual(yield* take(2), "ab")
  })
)

it.effect(
  "a connection is behind while messages wait for their turn, and not while they wait for its reader [CN-20]",
  () =>
    Effect.gen(function* () {
      const { opened, ready, turn, url, waiting } = yield* serveInTurns()
      const { send } = yield* WebSocket.connect(url)
      const { isBehindUnsafe } = yield* opened
      const seen = [isBehindUnsafe()]

      yield* send("a")
      const read = yield* Queue.take(waiting)
      seen.push(isBehindUnsafe())
      yield* ready.close
      read()
      seen.push(isBehindUnsafe())
      yield* ready.open
      yield* turn
      seen.push(isBehindUnsafe())

      assert.deepStrictEqual(seen, [false, true, false, false])
    })
)

it.effect("a WebSocket is paused while 16 KiB of it wait for their turn, and is read again after that", () =>
  Effect.gen(function* () {
    const { paused, take, turn, url } = yield* serveInTurns()
    const { send } = yield* WebSocket.connect(url)

    yield* send(large)
    yield* send("y")
    yield* paused
    yield* turn
    yield* turn

    yield* send("z")
    yield* turn
    assert.strictEqual(yield* take(large.length + 2), `${large}yz`)
  })
)

it.effect("a WebSocket is paused while more than 256 empty messages of it wait for their turn", () =>
  Effect.gen(function* () {
    const { paused, received, turn, url } = yield* serveInTurns()
    const { send } = yield* WebSocket.connect(url)

    yield* Effect.replicateEffect(send(""), 257, { discard: true })
    yield* paused

    yield* turn
    assert.isAtLeast((yield* Queue.take(received)).length, 257)
  })
)

it.effect("messages that are not taken are handed over again, behind other connections", () =>
  Effect.gen(function* () {
    const { received, turn, url, waiting } = yield* serveInTurns(1)
    const [first, second] = [yield* WebSocket.connect(url), yield* WebSocket.connect(url)]

    for (const text of ["a", "b", "c"]) yield* first.send(text)
    const [readFirst] = yield* Queue.takeN(waiting, 3)
    yield* second.send("d")
    const readSecond = yield* Queue.take(waiting)
    readFirst!()
    readSecond()
    yield* turn
    yield* turn

    const order = Array.from(yield* Queue.takeN(received, 4), (messages) => String(Buffer.concat(messages)))
    assert.deepStrictEqual(order, ["a", "d", "b", "c"])
    assert.strictEqual(yield* Queue.size(waiting), 0)
  })
)

it.effect("all that has arrived before the client closes its WebSocket is handed over", () =>
  Effect.gen(function* () {
    const { ended, take, turn, url } = yield* serveInTurns()
    const { close, send } = yield* WebSocket.connect(url)

    yield* send("a")
    yield* close
    yield* turn

    assert.strictEqual(yield* take(1), "a")
    yield* ended
  })
)

it.effect("a round trip ends when all is handed over that has arrived before the pong [FT-10]", () =>
  Effect.gen(function* () {
    const { opened, received, url, waiting } = yield* serveInTurns()
    const { pings, send } = yield* WebSocket.connect(url)
    const { roundTrip } = yield* opened

    yield* send("a")
    const read = yield* Queue.take(waiting)
    const trip = yield* Effect.forkChild(roundTrip, { startImmediately: true })
    // the client has answered the ping by then, and the message behind its pong has arrived
    yield* Queue.take(pings)
    yield* send("b")
    yield* Queue.take(waiting)
    assert.isUndefined(trip.pollUnsafe())
    read()

    yield* Fiber.join(trip)
    assert.strictEqual(yield* Queue.size(received), 1)
  })
)

it.effect("a WebSocket is not read while the client does not take what was written, and loses nothing", () =>
  Effect.gen(function* () {
    const reader = yield* FairReader.make()
    const full = yield* Deferred.make<void>()
    const answerBytes = 64 * 1024
    let mostHeld = 0
    const route = HttpRouter.add(
      "GET",
      "/",
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const tcp = NodeHttpServerRequest.toIncomingMessage(request).socket
        const { serve, write } = yield* RequestBytes.open(request, reader, {
          isReadyUnsafe: () => true,
          ready: Effect.void
        })
        yield* serve(() => {
          write("x".repeat(answerBytes))
          mostHeld = Math.max(mostHeld, tcp.writableLength)
          if (tcp.writableNeedDrain) Deferred.doneUnsafe(full, Effect.void)
          return 1
        })
        return HttpServerResponse.empty()
      }).pipe(Effect.orDie)
    )
    const { messages, send, tcp } = yield* WebSocket.connect(yield* serveRoutes(route))
    const count = 500

    tcp.pause()
    yield* Effect.forEach(Array.from({ length: count }), () => send("answer me"), { concurrency: "unbounded" })
    yield* Deferred.await(full)
    tcp.resume()

    assert.lengthOf(yield* Queue.takeN(messages, count), count)
    assert.isBelow(mostHeld, 4 * answerBytes)
  })
)
