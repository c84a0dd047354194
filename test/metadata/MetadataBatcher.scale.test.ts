/** The cost of a whole fleet to the database, with the settings of the original. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { agent, entries, start } from "../support/metadataBatcher.ts"

describe("600 agents with 15 keys, each every 10 s", () => {
  it.effect("cost two writes and four notifications a second at most [SL-01]", () =>
    Effect.gen(function* () {
      const [agents, period, minutes] = [600, Duration.seconds(10), 2]
      const { batcher, calls, published } = yield* start()
      const pause = Duration.toMillis(period) / agents
      const rounds = (minutes * 60) / Duration.toSeconds(period)
      for (let round = 0; round < rounds; round++) {
        for (let index = 0; index < agents; index++) {
          assert.strictEqual(yield* batcher.add(agent(index), entries(15)), 0)
          yield* TestClock.adjust(pause)
        }
      }
      yield* batcher.flush

      const seconds = minutes * 60
      assert.strictEqual(
        calls.reduce((rows, batch) => rows + batch.length, 0),
        agents * 15 * rounds
      )
      assert.isAtMost(calls.length / seconds, 2)
      assert.isAtMost(published.length / seconds, 4)
    })
  )
})
