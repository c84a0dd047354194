/** Announcements that are collected. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, entry, failing, start, well } from "../support/metadataBatcher.ts"

const settings = { announceInterval: "250 millis", maxBatchSize: 1_000, queueCapacity: 5_000 } as const

/** A batcher that collects announcements, and how to write one entry of each of so many agents. */
const collecting = Effect.fnUntraced(function* (options: Parameters<typeof start>[0] = {}) {
  const harness = yield* start({ ...settings, ...options })
  const report = Effect.fnUntraced(function* (from: number, to: number) {
    for (let number = from; number <= to; number++) yield* harness.batcher.add(agent(number), [entry("cpu", "1")])
    yield* harness.batcher.flush
  })
  const announced = () => harness.published.splice(0).map(({ agents }) => agents)
  return { ...harness, report, announced }
})

describe("the announcements of a metadata batcher", () => {
  it.effect("are one for the writes of an interval, and name each agent once [MB-54]", () =>
    Effect.gen(function* () {
      const { announced, report } = yield* collecting()
      yield* report(1, 2)
      yield* TestClock.adjust("100 millis")
      yield* report(2, 3)
      yield* TestClock.adjust("149 millis")
      assert.deepStrictEqual(announced(), [])

      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(announced(), [[agent(1), agent(2), agent(3)]])
      yield* report(4, 4)
      yield* TestClock.adjust("249 millis")
      assert.deepStrictEqual(announced(), [])
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(announced(), [[agent(4)]])
    })
  )

  it.effect("wait for an interval that begins when an agent changes, and not before [MB-54]", () =>
    Effect.gen(function* () {
      let doesChange = false
      const { announced, report } = yield* collecting({
        write: (rows) => (doesChange ? well(rows) : Effect.succeed([]))
      })
      yield* report(1, 1)
      doesChange = true
      yield* TestClock.adjust("100 millis")
      yield* report(2, 2)
      yield* TestClock.adjust("249 millis")
      assert.deepStrictEqual(announced(), [])
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(announced(), [[agent(2)]])
    })
  )

  it.effect("do not wait once a message is full [MB-54]", () =>
    Effect.gen(function* () {
      const { announced, report } = yield* collecting()

      yield* report(1, 400)
      assert.deepStrictEqual(
        announced().map((agents) => agents.length),
        [363]
      )
      yield* TestClock.adjust("250 millis")

      assert.deepStrictEqual(
        announced().map((agents) => agents.length),
        [37]
      )
    })
  )

  it.effect("include those of the last flush when the batcher closes [MB-54]", () =>
    Effect.gen(function* () {
      const { announced, batcher, close, logs, report } = yield* collecting()
      yield* report(1, 1)
      yield* batcher.add(agent(2), [entry("cpu", "1")])

      yield* close

      assert.deepStrictEqual(announced(), [[agent(1), agent(2)]])
      assert.isFalse(logs.some(({ level }) => level === "Warn"))
    })
  )

  it.effect("have the time that the last write leaves of the timeout of closing [MB-54]", () =>
    Effect.gen(function* () {
      const { batcher, close } = yield* collecting({
        shutdownTimeout: "5 seconds",
        write: (rows) => Effect.delay(well(rows), "3 seconds"),
        publish: () => Effect.never
      })
      yield* batcher.add(agent(1), [entry("cpu", "1")])

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.isDefined(closing.pollUnsafe())
    })
  )

  it.effect("are not made for a write that failed", () =>
    Effect.gen(function* () {
      const { logs, published, batcher } = yield* start({ write: failing("unavailable") })
      yield* batcher.add(agent(1), [entry("cpu", "1")])
      yield* batcher.flush

      assert.deepStrictEqual(published, [])
      assert.isFalse(logs.some(({ message }) => message.startsWith("changed agents")))
    })
  )

  it.effect("hold up closing no longer than its timeout when the broker hangs [MB-54]", () =>
    Effect.gen(function* () {
      const { announced, close, logs, report } = yield* collecting({
        shutdownTimeout: "5 seconds",
        publish: () => Effect.never
      })
      yield* report(1, 1)
      yield* TestClock.adjust("250 millis")
      yield* report(2, 2)

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(announced(), [[agent(1)], [agent(2), agent(1)]])
      const lost = logs.find(({ message }) => message === "changed agents were not announced at shutdown")
      assert.deepStrictEqual([lost?.level, lost?.annotations.agents], ["Warn", 2])
    })
  )

  it.effect("go on after one that failed, which is counted [MB-54]", () =>
    Effect.gen(function* () {
      let isAway = true
      const { announced, metric, report } = yield* collecting({
        publish: () => Effect.suspend(() => (isAway ? Effect.die(new Error("away")) : Effect.void))
      })
      yield* report(1, 1)
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(metric(Metrics.publishErrors), { count: 1, incremental: true })
      isAway = false
      announced()

      yield* report(2, 2)
      yield* TestClock.adjust("250 millis")

      assert.deepStrictEqual(announced(), [[agent(2)]])
    })
  )

  it.effect("that fail in a row are one error, and the first that succeeds again is logged", () =>
    Effect.gen(function* () {
      let isAway = true
      const { batcher, logs } = yield* start({
        publish: () => Effect.suspend(() => (isAway ? Effect.die(new Error("away")) : Effect.void))
      })
      for (const number of [1, 2, 3, 4, 5]) {
        isAway = number < 4
        yield* batcher.add(agent(number), [entry("cpu", "1")])
        yield* batcher.flush
      }

      assert.deepStrictEqual(
        logs.filter(({ message }) => message.startsWith("changed agents")).map(({ level }) => level),
        ["Error", "Debug", "Debug", "Info"]
      )
    })
  )
})
