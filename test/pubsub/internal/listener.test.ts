import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { backoff } from "../../../src/pubsub/internal/listener.ts"

/** The pauses between the first `attempts` attempts, in seconds. */
const pauses = Effect.fnUntraced(function* (attempts: number, random: number) {
  const times: Array<number> = []
  const fiber = yield* Clock.currentTimeMillis.pipe(
    Effect.tap((now) => Effect.sync(() => times.push(now))),
    Effect.andThen(Effect.fail("unreachable")),
    Effect.retry(backoff("1 second", "1 minute")),
    Effect.provideService(Random.Random, { nextDoubleUnsafe: () => random, nextIntUnsafe: () => 0 }),
    Effect.forkChild
  )
  yield* TestClock.adjust("1 hour")
  yield* Fiber.interrupt(fiber)
  return times.slice(1, attempts).map((time, i) => (time - times[i]!) / 1_000)
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
})
