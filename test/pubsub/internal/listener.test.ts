import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Latch, Random } from "effect"
import { TestClock } from "effect/testing"
import { retryForever } from "../../../src/pubsub/internal/listener.ts"

/** Attempts that all fail, and the times of those so far, in seconds. */
const start = Effect.fnUntraced(function* (random: number) {
  const retryRequested = yield* Latch.make(false)
  const times: Array<number> = []
  yield* Clock.currentTimeMillis.pipe(
    Effect.tap((now) => Effect.sync(() => times.push(now / 1_000))),
    Effect.andThen(Effect.fail("unreachable")),
    retryForever({ minBackoff: "1 second", maxBackoff: "1 minute" }, retryRequested),
    Effect.provideService(Random.Random, { nextDoubleUnsafe: () => random, nextIntUnsafe: () => 0 }),
    Effect.forkScoped
  )
  return { times, retryNow: Effect.andThen(retryRequested.open, TestClock.adjust(0)) }
})

/** The pauses between the first `attempts` attempts, in seconds. */
const pauses = Effect.fnUntraced(function* (attempts: number, random: number) {
  const { times } = yield* start(random)
  yield* TestClock.adjust("1 hour")
  return times.slice(1, attempts).map((time, i) => Math.round((time - times[i]!) * 1_000) / 1_000)
})

describe("listener", () => {
  it.effect("pauses 1 s before the second attempt to connect, then twice as long each time up to 1 min [PS-17]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* pauses(10, 0.5), [1, 2, 4, 8, 16, 32, 60, 60, 60])
    })
  )

  it.effect("spreads the attempts of several replicas by a fifth, still within 1 min [PS-17]", () =>
    Effect.gen(function* () {
      const shortest = yield* pauses(10, 0)
      const longest = yield* pauses(10, 1)

      assert.deepStrictEqual(shortest, [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])
      assert.deepStrictEqual(longest, [1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 60, 60, 60])
    })
  )

  it.effect("attempts at once when it is retryRequested, and no sooner than 1 s after the last attempt [PS-17]", () =>
    Effect.gen(function* () {
      const { retryNow, times } = yield* start(0.5)
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(times.splice(0), [0, 1, 3, 7, 15, 31])

      yield* retryNow
      assert.deepStrictEqual(times.splice(0), [40])
      yield* TestClock.adjust("500 millis")
      yield* retryNow
      yield* retryNow
      assert.deepStrictEqual(times, [])
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(times.splice(0), [41])
      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(times, [101])
    })
  )
})
