import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as CallRate from "../../src/agentapi/RateLimiter.ts"
import { agent } from "../support/metadataBatcher.ts"

const spend = ({ spendUnsafe }: CallRate.CallRate, calls: number) =>
  Effect.sync(() => {
    for (let call = 0; call < calls; call++) spendUnsafe()
  })

/** For how many milliseconds the agent has to wait. */
const wait = Effect.fnUntraced(function* ({ ready }: CallRate.CallRate) {
  const waiting = yield* Effect.forkChild(ready, { startImmediately: true })
  for (let millis = 0; ; millis += 50) {
    if (waiting.pollUnsafe() !== undefined) return millis
    yield* TestClock.adjust(50)
  }
})

describe("CallRate", () => {
  it.effect("lets an agent make the calls of a second at once", () =>
    Effect.gen(function* () {
      const rate = yield* (yield* CallRate.make(10))(agent(1))

      yield* spend(rate, 10)
      assert.strictEqual(yield* wait(rate), 0)
    })
  )

  it.effect("lets it wait for as long as its calls should have taken, and go on then", () =>
    Effect.gen(function* () {
      const rate = yield* (yield* CallRate.make(10))(agent(1))

      yield* spend(rate, 25)
      assert.strictEqual(yield* wait(rate), 1_500)
      yield* spend(rate, 1)
      assert.strictEqual(yield* wait(rate), 100)
      yield* TestClock.adjust("1 hour")
      yield* spend(rate, 10)
      assert.strictEqual(yield* wait(rate), 0)
    })
  )

  it.effect("counts the calls of all connections of an agent together, and those of others apart", () =>
    Effect.gen(function* () {
      const rateOf = yield* CallRate.make(10)

      yield* Effect.scoped(Effect.flatMap(rateOf(agent(1)), (rate) => spend(rate, 20)))
      assert.strictEqual(yield* wait(yield* rateOf(agent(2))), 0)
      assert.strictEqual(yield* wait(yield* rateOf(agent(1))), 1_000)
    })
  )

  it.effect("lets nobody wait because the clock was set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const unlimited = yield* (yield* CallRate.make(Number.POSITIVE_INFINITY))(agent(1))
      const rate = yield* (yield* CallRate.make(10))(agent(1))
      yield* spend(unlimited, 1)
      yield* spend(rate, 15)
      yield* TestClock.setTime(0)

      assert.strictEqual(yield* wait(unlimited), 0)
      assert.strictEqual(yield* wait(rate), 500)
    })
  )
})
