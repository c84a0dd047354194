/** The records and announcements of one connection, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { PubSubError } from "../../../src/pubsub/PubSub.ts"

import { announced, away, recorded, start } from "./monitorWorld.ts"

describe("AgentSocketMonitor", () => {
  it.effect("records the first connection once, with the time of the clock, and keeps it [CN-08, AP-05]", () =>
    Effect.gen(function* () {
      const fresh = yield* start()
      assert.deepStrictEqual(fresh.since(), [recorded(1_000, 1_000), announced])

      const known = yield* start({
        who: { firstConnectedAt: DateTime.makeUnsafe(10), disconnectedAt: DateTime.makeUnsafe(20) }
      })
      assert.deepStrictEqual(known.since(), [recorded(10, 1_000, 20), announced])
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(known.since()[0], recorded(10, 16_000))
    })
  )

  it.effect("announces a connection after it was recorded, before anything is served [CN-09]", () =>
    Effect.gen(function* () {
      const { since, started } = yield* start()

      assert.isTrue(Exit.isSuccess(started))
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), announced])
    })
  )

  it.effect("serves no agent whose connection cannot be recorded, and records its end [CN-09]", () =>
    Effect.gen(function* () {
      const { close, logs, since, started } = yield* start({ world: { record: away } })

      assert.isTrue(Exit.isFailure(started))
      yield* close

      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), recorded(1_000, 1_000, 1_000), announced])
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message.split(" {")[0]]),
        [["Error", "end of an agent connection not recorded"]]
      )
    })
  )

  it.effect("serves an agent whose connection cannot be announced, with a warning [BK-07]", () =>
    Effect.gen(function* () {
      const { logs, since, started } = yield* start({
        world: { publish: Effect.fail(new PubSubError({ operation: "publish", channel: "any", cause: "away" })) }
      })

      assert.isTrue(Exit.isSuccess(started))
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), announced])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )

  it.effect("records a heartbeat each interval, and announces nothing while nothing changes [CN-10, CN-16]", () =>
    Effect.gen(function* () {
      const { ended, since } = yield* start()
      since()

      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(since(), [])
      yield* TestClock.adjust("30001 millis")

      assert.deepStrictEqual(since(), [recorded(1_000, 16_000), recorded(1_000, 31_000), recorded(1_000, 46_000)])
      assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("announces once that an agent which was thought to have left is back, after that is recorded [CN-10]", () =>
    Effect.gen(function* () {
      const { logs, since, world } = yield* start({ who: { disconnectedAt: DateTime.makeUnsafe(5) } })
      since()

      world.record = away
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(since(), [recorded(1_000, 16_000)])
      world.record = Effect.void
      yield* TestClock.adjust("30 seconds")

      assert.deepStrictEqual(since(), [recorded(1_000, 31_000), announced, recorded(1_000, 46_000)])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )

  it.effect("ends the connection of an agent of an old build within an interval [CN-12]", () =>
    Effect.gen(function* () {
      const { logs, ended, since, world } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      world.result = Effect.succeed("outdated")
      yield* TestClock.adjust("10 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "the build of the agent is no longer the latest")
      assert.deepStrictEqual(since(), [recorded(1_000, 31_000)])
      assert.deepInclude(logs[0], { level: "Info" })
    })
  )

  it.effect("records and announces the end of a connection although it is closed [CN-13, CN-14, CN-16]", () =>
    Effect.gen(function* () {
      const { close, since } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      yield* close
      yield* TestClock.adjust("1 hours")

      assert.deepStrictEqual(since(), [recorded(1_000, 16_000, 21_000), announced])
    })
  )

  it.effect("stops recording and announcing an end after the timeout, with a log record each [CN-14, CN-15]", () =>
    Effect.gen(function* () {
      const { close, logs, since, world } = yield* start({ agentPingInterval: "5 seconds" })
      Object.assign(world, { record: Effect.never, publish: Effect.never })
      since()

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000, 1_000)])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(since(), [announced])
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)

      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Warn"]
      )
    })
  )

  it.effect("goes on without a record while the agent is connected to another replica [FT-20]", () =>
    Effect.gen(function* () {
      const { ended, logs, world } = yield* start()

      world.result = Effect.succeed("replaced")
      yield* TestClock.adjust("1 minute")

      assert.isUndefined(ended.pollUnsafe())
      assert.deepStrictEqual([...new Set(logs.map(({ level }) => level))], ["Debug"])
    })
  )
})
