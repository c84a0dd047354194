/** A service that breaks or refuses each connection, for clients that come back by themselves. */
import { assert } from "@effect/vitest"
import { type Duration, Effect, Queue, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { type WebSocket, WebSocketServer } from "ws"
import { portOf } from "./localServer.ts"

/** How the service treats the next client. */
type Treatment = "break" | "refuse"

/**
 * Starts the service, and a client of it that calls its argument after each end of a connection and of an attempt.
 * Returns a function that requires of the client to come back at a time between two, in milliseconds from the last end,
 * and breaks its connection after so long a time.
 */
export const make = Effect.fnUntraced(function* <E>(
  client: (url: string, onEnd: () => void) => Effect.Effect<unknown, E, Scope.Scope>
) {
  let treatment: Treatment = "break"
  const attempts = yield* Queue.unbounded<void>()
  const connections = yield* Queue.unbounded<WebSocket>()
  const ends = yield* Queue.unbounded<void>()
  const server = Http.createServer((_, response) => response.end())
  new WebSocketServer({
    server,
    verifyClient: (_, reply) => {
      Queue.offerUnsafe(attempts, undefined)
      reply(treatment === "break", 503)
    }
  }).on("connection", (socket) => Queue.offerUnsafe(connections, socket))
  const url = `http://127.0.0.1:${yield* portOf(server)}`
  yield* Effect.forkScoped(client(url, () => void Queue.offerUnsafe(ends, undefined)))

  /** Ends the connection that the client has made, or refuses it. */
  const serve = Effect.fnUntraced(function* (lasting: Duration.Input) {
    yield* Queue.take(attempts)
    if (treatment === "break") {
      const connection = yield* Queue.take(connections)
      // the client knows of its connection once it responds
      yield* Effect.callback<void>((resume) => {
        connection.once("pong", () => resume(Effect.void)).ping()
      })
      yield* TestClock.adjust(lasting)
      connection.close()
    }
    yield* Queue.take(ends)
  })
  yield* serve(0)

  return Effect.fnUntraced(function* (next: Treatment, from: number, until: number, lasting: Duration.Input = 0) {
    treatment = next
    yield* TestClock.adjust(from - 1)
    // an attempt before this would have arrived before this
    yield* Effect.promise(() => fetch(url))
    assert.strictEqual(yield* Queue.size(attempts), 0)
    yield* TestClock.adjust(until - from + 1)
    yield* serve(lasting)
  })
})
