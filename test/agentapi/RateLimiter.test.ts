import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as RateLimiter from "../../src/agentapi/RateLimiter.ts"
import { agent } from "../support/metadataBatcher.ts"

const consume = (rate: RateLimiter.RateLimiter, calls: number) =>
  Effect.sync(() => {
    for (let call = 0; call < calls; call++) rate.consumeUnsafe()
  })

/** For how many milliseconds the agent has to wait. */
const wait = Effect.fnUntraced(function* ({ ready }: RateLimiter.RateLimiter) {
  const waiting = yield* Effect.forkChild(ready, { startImmediately: true })
  for (let millis = 0; ; millis += 50) {
    if (waiting.pollUnsafe() !== undefined) return millis
    yield* TestClock.adjust(50)
  }
})

describe("RateLimiter", () => {
  it.effect("lets an agent make the calls of a second at once", () =>
    Effect.gen(function* () {
      const rate = yield* (yield* RateLimiter.make(10))(agent(1))

      yield* consume(rate, 10)
      assert.strictEqual(yield* wait(rate), 0)
    })
  )

  it.effect("lets it wait for as long as its calls should have taken, and go on then", () =>
    Effect.gen(function* () {
      const rate = yield* (yield* RateLimiter.make(10))(agent(1))

      yield* consume(rate, 25)
      assert.strictEqual(yield* wait(rate), 1_500)
      yield* consume(rate, 1)
      assert.strictEqual(yield* wait(rate), 100)
      yield* TestClock.adjust("1 hour")
      yield* consume(rate, 10)
      assert.strictEqual(yield* wait(rate), 0)
    })
  )

  it.effect("counts the calls of all connections of an agent together, and those of others apart", () =>
    Effect.gen(function* () {
      const limiterOf = yield* RateLimiter.make(10)

      yield* Effect.scoped(Effect.flatMap(limiterOf(agent(1)), (rate) => consume(rate, 20)))
      assert.strictEqual(yield* wait(yield* limiterOf(agent(2))), 0)
      assert.strictEqual(yield* wait(yield* limiterOf(agent(1))), 1_000)
    })
  )

  it.effect("lets nobody wait because the clock was set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const unlimited = yield* (yield* RateLimiter.make(Number.POSITIVE_INFINITY))(agent(1))
      const rate = yield* (yield* RateLimiter.make(10))(agent(1))
      yield* consume(unlimited, 1)
      yield* consume(rate, 15)
      yield* TestClock.setTime(0)

      assert.strictEqual(yield* wait(unlimited), 0)
      assert.strictEqual(yield* wait(rate), 500)
    })
  )

  it.effect("is ready after the time that it names, whatever part of a millisecond a call takes", () =>
    Effect.gen(function* () {
      for (const perSecond of [3, 7, 60, 300]) {
        const rate = yield* (yield* RateLimiter.make(perSecond))(agent(1))
        yield* consume(rate, 2 * perSecond + 1)
        let turns = 0
        const turn = Effect.suspend(() => {
          turns++
          return rate.ready
        })
        const waiting = yield* Effect.forkChild(Effect.repeat(turn, { until: () => rate.isReadyUnsafe() }))

        yield* TestClock.adjust("2 seconds")

        assert.isDefined(waiting.pollUnsafe())
        assert.isAtMost(turns, 2)
      }
    })
  )
})
