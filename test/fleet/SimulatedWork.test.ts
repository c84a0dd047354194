/** The data of simulated agents. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { AgentStats, hasSessions } from "../../src/usage/AgentStats.ts"
import { PushResourcesMonitoringUsageRequest } from "../../src/agentapi/calls/ResourceMonitors.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"

describe("simulated work", () => {
  it.effect("has statistics of the user sessions that are open", () =>
    Effect.gen(function* () {
      const visitor = yield* Work.visitor
      const [without, beside] = [yield* Work.stats(undefined), yield* Work.stats(visitor)]

      assert.deepStrictEqual([without.connection_count, beside.connection_count], [0, 1])
      for (const [stats, isVisited] of [[without, false] as const, [beside, true] as const]) {
        const { metrics: _, ...figures } = yield* Schema.decodeEffect(AgentStats)(stats)
        assert.strictEqual(hasSessions(figures), isVisited)
      }
    })
  )

  it.effect("remembers how full memory and volumes were in the intervals up to now", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(60_000)
      const usage = yield* Work.usage({
        count: 3,
        interval: Duration.seconds(10),
        memory: true,
        volumes: ["/home"]
      })

      const times = usage.datapoints.map(({ collected_at }) => DateTime.toEpochMillis(collected_at!))
      assert.deepStrictEqual(times, [40_000, 50_000, 60_000])
      for (const { memory, volumes } of usage.datapoints) {
        assert.isBelow(memory!.used, memory!.total)
        assert.deepStrictEqual(
          volumes.map(({ volume }) => volume),
          ["/home"]
        )
      }
      yield* Schema.encodeEffect(PushResourcesMonitoringUsageRequest)(usage)
    })
  )

  it.effect("is the same with the same seed", () =>
    Effect.gen(function* () {
      const one = Random.withSeed(Effect.all([Work.visitor, Work.line, Work.health, Work.sample("cpu")]), "seed")

      assert.deepStrictEqual(yield* one, yield* one)
    })
  )
})
