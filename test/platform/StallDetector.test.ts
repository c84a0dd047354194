import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as StallDetector from "../../src/platform/StallDetector.ts"

describe("StallDetector", () => {
  it.effect("notifies its listeners of the last time that the process ran, once for each stall [FT-10]", () =>
    Effect.gen(function* () {
      const real = yield* Clock.Clock
      let stalled = 0
      const clock: Clock.Clock = {
        ...real,
        sleep: (duration) => real.sleep(duration),
        currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + stalled,
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + BigInt(stalled) * 1_000_000n
      }
      const heard: Array<number> = []
      yield* Effect.gen(function* () {
        const { checkUnsafe, onStallUnsafe } = yield* StallDetector.StallDetector
        const remove = onStallUnsafe((lastRan) => heard.push(DateTime.toEpochMillis(lastRan)))

        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(heard, [])
        stalled = 20_000
        checkUnsafe()
        checkUnsafe()
        assert.deepStrictEqual(heard, [60_000])
        // the tick notices one as well
        stalled = 50_000
        yield* TestClock.adjust("500 millis")
        assert.lengthOf(heard, 2)
        remove()
        stalled = 90_000
        checkUnsafe()

        assert.lengthOf(heard, 2)
      }).pipe(Effect.provide(Layer.provide(StallDetector.layer, Layer.succeed(Clock.Clock, clock))))
    })
  )
})
