import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as FailureThrottle from "../../src/access/internal/failureThrottle.ts"

/** The milliseconds for which a failure of an address is delayed. */
const delayOf = Effect.fnUntraced(function* (failed: Effect.Effect<void>) {
  const before = yield* Clock.currentTimeMillis
  const waiting = yield* Effect.forkChild(failed, { startImmediately: true })
  while (waiting.pollUnsafe() === undefined) yield* TestClock.adjust(10)
  return (yield* Clock.currentTimeMillis) - before
})

describe("the throttle of wrong tokens", () => {
  it.effect("delays those beyond fifty at once and ten a second, by two seconds at most, for one address [FT-16]", () =>
    Effect.gen(function* () {
      const failed = yield* FailureThrottle.make

      yield* Effect.replicateEffect(failed("10.0.0.1"), 50)
      assert.strictEqual(yield* delayOf(failed("10.0.0.1")), 100)
      for (let count = 0; count < 100; count++) yield* Effect.forkChild(failed("10.0.0.1"), { startImmediately: true })
      assert.strictEqual(yield* delayOf(failed("10.0.0.1")), 2_000)
      assert.strictEqual(yield* delayOf(failed("10.0.0.2")), 0)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* delayOf(failed("10.0.0.1")), 0)
    })
  )
})
