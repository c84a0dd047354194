/** Pings and ends of one connection, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { pingTimeouts } from "../../../src/agentapi/AgentMetrics.ts"
import { workspace } from "../../support/identity.ts"
import { agent } from "../../support/metadataBatcher.ts"

import * as MonotonicClock from "../../../src/platform/MonotonicClock.ts"
import { announced, recorded, start } from "./monitorWorld.ts"

describe("ConnectionVisits", () => {
  it.effect("ends a connection at its maximum age, varied by a tenth, and never without one [RO-03]", () =>
    Effect.gen(function* () {
      const { ended } = yield* start({ agentMaxConnectionAge: "1 hour" })
      const { ended: endless } = yield* start()

      yield* TestClock.adjust("53 minutes")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("14 minutes")

      assert.strictEqual(yield* Fiber.join(ended), "the connection reached its maximum age")
      assert.isUndefined(endless.pollUnsafe())
    })
  )

  it.effect(
    "ends the connection of an agent that responds to no pings, counts that, and records its end [CN-11, WI-54]",
    () =>
      Effect.gen(function* () {
        const { count: before } = yield* Metric.value(pingTimeouts)
        const { close, logs, ended, since, world } = yield* start()
        yield* TestClock.adjust("15 seconds")

        world.ping = Effect.never
        // the ping of the second interval is the first without an answer
        yield* TestClock.adjust("34999 millis")
        assert.isUndefined(ended.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
        assert.strictEqual((yield* Metric.value(pingTimeouts)).count - before, 1)
        since()
        yield* close

        assert.deepStrictEqual(since(), [recorded(1_000, 46_000, 51_000), announced])
        assert.deepInclude(logs[0], {
          level: "Warn",
          message: "agent does not answer pings",
          annotations: { agentId: agent(1), workspaceId: workspace.id }
        })
      })
  )

  it.effect("ends no connection of which messages wait for their turn, for as long as they do [CN-20]", () =>
    Effect.gen(function* () {
      const { ended, world } = yield* start({ world: { isBehind: true, ping: Effect.never } })

      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(ended.pollUnsafe())
      world.isBehind = false
      yield* TestClock.adjust("1 minute")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("pings no agent that sends something every two intervals, and ends it after a timeout [CN-11, WI-23]", () =>
    Effect.gen(function* () {
      const { ended, pinged, world } = yield* start({ world: { heardAt: 0 } })
      const hear = Effect.map(MonotonicClock.millis, (now) => void (world.heardAt = now))

      yield* TestClock.adjust("100 millis")
      for (let beat = 0; beat < 10; beat++) {
        yield* hear
        // as stock clients do
        yield* TestClock.adjust("30 seconds")
      }
      assert.deepStrictEqual(pinged(), [])
      yield* hear
      world.ping = Effect.never
      yield* TestClock.adjust("37 seconds")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("8 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
      assert.lengthOf(pinged(), 1)
    })
  )

  it.effect("pings an agent that sends nothing by itself, and never while a ping has no answer [CN-11, WI-23]", () =>
    Effect.gen(function* () {
      const quiet = yield* start({ world: { heardAt: 0 } })
      const json = yield* start({ world: { ping: Effect.sleep("16 seconds") } })

      yield* TestClock.adjust("2 minutes")

      // seconds since the start
      assert.deepStrictEqual(
        quiet.pinged().map((at) => at / 1e3 - 1),
        [30, 60, 90, 120]
      )
      assert.deepStrictEqual(
        json.pinged().map((at) => at / 1e3 - 1),
        [15, 45, 75, 105]
      )
      for (const { ended } of [quiet, json]) assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("gives the answer to a ping some time, although a stall has made the next visit early [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, pinged, stall, world } = yield* start({ world: { heardAt: 0, ping: Effect.sleep("5 seconds") } })
      yield* TestClock.adjust("29500 millis")
      // the visit after 30 s comes after 33 s, and the next one after 35 s
      stall(3_000)
      yield* TestClock.adjust("500 millis")
      assert.lengthOf(pinged(), 1)
      yield* TestClock.adjust("4900 millis")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("10 seconds")

      assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("ends no connection right after a stall, in which an answer may have arrived [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, stall, world } = yield* start()
      yield* TestClock.adjust("22 seconds")
      world.ping = Effect.sleep("8 seconds")
      yield* TestClock.adjust("9 seconds")
      stall(60_000)

      // a visit comes before the answer is read
      yield* TestClock.adjust("7 seconds")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("keeps an agent that responds slowly, but within the timeout [CN-11]", () =>
    Effect.gen(function* () {
      const connections = [
        yield* start({ world: { ping: Effect.sleep("14 seconds") } }),
        yield* start({ world: { heardAt: 0, ping: Effect.sleep("9900 millis") } })
      ]

      yield* TestClock.adjust("10 minutes")

      for (const { ended } of connections) assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("measures silence by monotonic time, although the wall clock is set forward or back [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, wall, world } = yield* start({ world: { ping: Effect.sleep("1 second") } })

      wall.forward("1 hour")
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("1 second")
      wall.back("2 hours")
      yield* TestClock.adjust("45 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("gives an agent at least two seconds, however short the interval is [CN-11]", () =>
    Effect.gen(function* () {
      for (const agentPingTimeout of ["1 millis", undefined] as const) {
        const { close, ended } = yield* start({
          agentPingInterval: "100 millis",
          agentPingTimeout,
          world: { ping: Effect.never }
        })

        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(ended.pollUnsafe())
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
        yield* close
      }
    })
  )

  it.effect("gives an agent at least two intervals, because it is pinged once in each [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, world } = yield* start({ agentPingTimeout: "3 seconds" })

      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("45 seconds")
      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("pings a connection in another role and ends it when it is silent, and records nothing [FT-13]", () =>
    Effect.gen(function* () {
      const { ended, since, world } = yield* start({ role: "startUnrecorded" })
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(ended.pollUnsafe())

      world.ping = Effect.never
      yield* TestClock.adjust("45 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
      assert.deepStrictEqual(since(), [])
    })
  )
})
