/** When one watcher of agent 1 is sent what, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as WatchMetrics from "../../src/watch/WatchMetrics.ts"
import * as WallClock from "../support/WallClock.ts"
import { change, chunk, metadata, seconds, values, watch } from "../support/watch.ts"

describe("MetadataWatch over time", () => {
  it.effect("sends one event for many changes within a second [WA-11]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch
      yield* seconds(1)
      const before = events.length

      for (let count = 0; count < 9; count++) {
        yield* change(world, `value ${count}`)
        yield* TestClock.adjust("100 millis")
      }
      assert.strictEqual(events.length, before)
      yield* TestClock.adjust("100 millis")

      assert.deepStrictEqual(events.slice(before).map(values), [{ cpu: "value 8" }])
    })
  )

  it.effect("sends the list every five seconds without a change, with its new age [WA-12, WA-20]", () =>
    Effect.gen(function* () {
      const { events } = yield* watch
      yield* seconds(1)

      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(events.length, 2)
      yield* TestClock.adjust("1 millis")
      yield* seconds(5)

      const ages = events.map((event) => (event.type === "data" ? event.data[0]!.result.age : undefined))
      assert.deepStrictEqual(ages, [0, 1, 6, 11])
    })
  )

  it.effect("sends the list again after the first second [WA-13]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch

      yield* TestClock.adjust("999 millis")
      assert.strictEqual(events.length, 1)
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(events.map(values), [{ cpu: "1" }, { cpu: "1" }])
      assert.strictEqual(world.reads, 1)
    })
  )

  it.effect("measures how long the oldest new value of an event has been waiting [LF-34]", () =>
    Effect.gen(function* () {
      const { world } = yield* watch
      const delays = Effect.map(Metric.value(WatchMetrics.delay), ({ count, sum }) => ({ count, sum }))
      yield* seconds(8)
      // the first list is not news, and neither is a list without a newer value
      assert.deepStrictEqual(yield* delays, { count: 0, sum: 0 })

      const collected = (key: string, millis: number) =>
        metadata(key, "2", { collectedAt: DateTime.makeUnsafe(millis) })
      world.rows = [collected("cpu", 7_500)]
      yield* world.announce(chunk(1))
      world.rows = [collected("cpu", 8_000)]
      yield* TestClock.adjust("500 millis")
      yield* world.announce(chunk(1))
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* delays, { count: 1, sum: 1 })

      yield* seconds(20)
      yield* world.announce(chunk(1))
      yield* seconds(2)
      assert.deepStrictEqual(yield* delays, { count: 1, sum: 1 })
      const { buckets } = yield* Metric.value(WatchMetrics.delay)
      assert.deepStrictEqual(
        buckets.filter(([, count]) => count > 0).map(([boundary]) => boundary),
        [1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 300]
      )
      assert.strictEqual(WatchMetrics.delay.id, "metadata_batcher_watch_delay_seconds")
      assert.isDefined(WatchMetrics.delay.description)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("sends a ping every fifteen seconds [WA-22]", () =>
    Effect.gen(function* () {
      const { events } = yield* watch
      const pings = () => events.filter(({ type }) => type === "ping").length

      yield* TestClock.adjust("14999 millis")
      assert.strictEqual(pings(), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(pings(), 1)
      yield* seconds(30)
      assert.strictEqual(pings(), 3)
    })
  )

  it.effect(
    "sends lists and pings as time passes, although the time of day is set forward or back [WA-12, WA-22]",
    () =>
      Effect.gen(function* () {
        const { back, clock, forward } = yield* WallClock.make
        const { events } = yield* Effect.provideService(watch, Clock.Clock, clock)
        yield* seconds(2)
        const since = () => events.splice(0).map(({ type }) => type)
        assert.deepStrictEqual(since(), ["data", "data"])

        forward("1 hour")
        yield* seconds(3)
        assert.deepStrictEqual(since(), [])
        back("2 hours")
        yield* seconds(10)
        assert.deepStrictEqual(since(), ["data", "data", "ping"])
      })
  )
})
