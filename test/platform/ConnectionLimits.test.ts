/** The limit on connections without a valid token, over real connections. Only the grace is by the clock of the test. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Metric, Queue } from "effect"
import { TestClock } from "effect/testing"
import type * as Http from "node:http"
import * as Net from "node:net"
import { closedConnections, makeServer } from "../../src/platform/ConnectionLimits.ts"
import { graceMillis } from "../../src/platform/UnauthenticatedConnections.ts"
import { portOf } from "../support/localServer.ts"

interface Client {
  readonly socket: Net.Socket
  readonly send: (text: string) => void
  readonly closed: Effect.Effect<void>
}

const emitted = (emitter: NodeJS.EventEmitter, event: string) =>
  Effect.callback<void>((resume) => void emitter.once(event, () => resume(Effect.void)))

/** A server that allows two unauthenticated connections, and leaves every request to the test. */
const start = Effect.fnUntraced(function* (idleTimeout = Duration.minutes(1)) {
  const accepted = yield* Queue.unbounded<void>()
  const responses = yield* Queue.unbounded<Http.ServerResponse>()
  const upgrades = yield* Queue.unbounded<Http.IncomingMessage>()
  const server = yield* makeServer({
    maxConnections: 10,
    maxUnauthenticatedConnections: 2,
    requestTimeout: Duration.minutes(1),
    idleTimeout
  })
  server.on("connection", () => Queue.offerUnsafe(accepted, undefined))
  server.on("request", (_, response) => Queue.offerUnsafe(responses, response))
  server.on("upgrade", (request) => Queue.offerUnsafe(upgrades, request))
  const port = yield* portOf(server)

  const openWith = (options: Net.SocketConstructorOpts = {}) =>
    Effect.acquireRelease(
      Effect.sync((): Client => {
        const socket = Net.connect({ port, host: "127.0.0.1", ...options })
        socket.on("error", () => {}).resume()
        return {
          socket,
          send: (text) => void socket.write(text),
          closed: Effect.suspend(() => (socket.closed ? Effect.void : emitted(socket, "close")))
        }
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )
  const open = openWith()
  const connect = Effect.tap(open, () => Queue.take(accepted))
  /** A client that keeps its side of the connection open when the server has ended its own. */
  const connectHalfOpen = Effect.tap(openWith({ allowHalfOpen: true }), () => Queue.take(accepted))
  const request = Effect.fnUntraced(function* ({ send }: Client) {
    send("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    return yield* Queue.take(responses)
  })
  const upgrade = Effect.fnUntraced(function* ({ send }: Client) {
    send("GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    const { socket } = yield* Queue.take(upgrades)
    // the server does not notice by itself that the client has left
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
    return socket
  })
  const count = Effect.map(Metric.value(closedConnections.unauthenticated), ({ count }) => count)
  const before = yield* count
  const closed = Effect.map(count, (count) => count - before)
  return { closed, connect, connectHalfOpen, open, request, responses, upgrade }
})

const grace = TestClock.adjust(graceMillis)

describe("at the limit on unauthenticated connections", () => {
  it.effect("the connection that has waited longest makes room for a new one [FT-06]", () =>
    Effect.gen(function* () {
      const { closed, connect, request } = yield* start()
      const oldest = yield* connect
      yield* TestClock.adjust(1)
      const younger = yield* connect
      yield* TestClock.adjust(graceMillis - 1)

      const newest = yield* connect
      yield* oldest.closed
      yield* request(younger)
      yield* request(newest)

      assert.strictEqual(yield* closed, 1)
    })
  )

  it.effect("a new connection is closed while every other one may still send its request [FT-06]", () =>
    Effect.gen(function* () {
      const { closed, connect, request } = yield* start()
      const others = [yield* connect, yield* connect]
      yield* TestClock.adjust(graceMillis - 1)

      yield* (yield* connect).closed
      for (const other of others) yield* request(other)

      assert.strictEqual(yield* closed, 1)
    })
  )

  it.effect("a connection whose request is being handled is not closed, however long that takes [FT-06]", () =>
    Effect.gen(function* () {
      const { connect, request, upgrade } = yield* start()
      const [first, second] = [yield* connect, yield* connect]
      yield* request(first)
      yield* upgrade(second)
      yield* TestClock.adjust("1 minute")

      yield* (yield* connect).closed

      assert.isFalse(first.socket.closed || second.socket.closed)
    })
  )

  it.effect("a connection waits again after its last response [FT-06]", () =>
    Effect.gen(function* () {
      const { connect, request, responses } = yield* start()
      const [first, second] = [yield* connect, yield* connect]
      yield* request(second)
      // two requests at once: the first response leaves one
      const one = yield* request(first)
      const other = yield* request(first)
      one.end()
      yield* emitted(one, "close")
      yield* grace
      yield* (yield* connect).closed
      other.end()
      yield* emitted(other, "close")

      yield* TestClock.adjust(graceMillis - 1)
      yield* (yield* connect).closed
      yield* TestClock.adjust(1)
      yield* request(yield* connect)
      yield* first.closed

      assert.isFalse(second.socket.closed)
      assert.strictEqual(yield* Queue.size(responses), 0)
    })
  )

  it.effect("a connection that stays after its upgrade was rejected makes room, too [FT-06]", () =>
    Effect.gen(function* () {
      const { connect, connectHalfOpen, request, upgrade } = yield* start()
      const [first, second] = [yield* connectHalfOpen, yield* connect]
      yield* request(second)
      const socket = yield* upgrade(first)
      socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
      yield* emitted(socket, "finish")
      yield* grace

      yield* request(yield* connect)
      assert.isTrue(socket.destroyed)
    })
  )

  it.effect("a connection makes no room when its request has arrived and was not read yet [FT-06]", () =>
    Effect.gen(function* () {
      const { connect, open, request, responses } = yield* start()
      const [first, second] = [yield* connect, yield* connect]
      yield* request(second)
      yield* grace

      const newest = yield* open
      // in the same turn of the process, but after the new connection
      yield* Effect.promise(() => Promise.resolve())
      first.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
      yield* newest.closed
      yield* Queue.take(responses)

      assert.isFalse(first.socket.closed)
    })
  )

  it.effect("a flood of silent connections keeps nobody out [FT-06]", () =>
    Effect.gen(function* () {
      const { connect, request } = yield* start()
      for (let round = 0; round < 20; round++) {
        yield* connect
        yield* TestClock.adjust(graceMillis / 2)
      }

      const client = yield* connect
      const response = yield* request(client)
      for (let round = 0; round < 20; round++) {
        yield* connect
        yield* TestClock.adjust(graceMillis / 2)
      }

      assert.isFalse(client.socket.closed || response.closed)
    })
  )
})

describe("a connection that stays after its upgrade was rejected", () => {
  it.effect("is closed after the idle timeout", () =>
    Effect.gen(function* () {
      const { connectHalfOpen, upgrade } = yield* start(Duration.millis(50))
      const socket = yield* upgrade(yield* connectHalfOpen)

      socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

      yield* emitted(socket, "close")
    })
  )
})
