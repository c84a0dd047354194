import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Net from "node:net"
import * as RedisConnection from "../../../src/pubsub/internal/redisConnection.ts"
import { portOf } from "../../support/localServer.ts"

describe("a connection to Redis", () => {
  it.effect("breaks with one error, also where the reason is such an error", () =>
    Effect.gen(function* () {
      const driver = yield* RedisConnection.driver({ url: Redacted.make("redis://127.0.0.1:1") })
      const silent = driver.silent()

      assert.deepInclude(silent, { _tag: "BrokerError", reason: "silence" })
      assert.strictEqual(driver.broken(silent), silent)
      assert.include(driver.broken(new Error("cut")).message, "(cut)")
    })
  )

  it.effect("is to one host alone [BK-05]", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        RedisConnection.driver({ url: Redacted.make("redis://127.0.0.1:1,127.0.0.1:2") })
      )

      assert.strictEqual(error.reason, "settings")
      assert.match(error.message, /^PUBSUB_URL names several hosts of Redis/)
    })
  )

  it.effect("is given up after 5 seconds in which the server says nothing [BK-05]", () =>
    Effect.gen(function* () {
      const heard = yield* Queue.unbounded<void>()
      const sockets = new Set<Net.Socket>()
      const port = yield* portOf(
        Net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("data", () => void Queue.offerUnsafe(heard, undefined))
        }),
        () => sockets.forEach((socket) => socket.destroy())
      )
      const driver = yield* RedisConnection.driver({ url: Redacted.make(`redis://127.0.0.1:${port}`) })
      const attempt = yield* Effect.forkChild(Effect.flip(Effect.scoped(driver.connect)))
      yield* Queue.take(heard)

      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(attempt.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      const { message, reason } = yield* Fiber.join(attempt)
      assert.strictEqual(reason, "protocol")
      assert.include(message, "no response within 5 seconds")
    })
  )
})
