/** Improvements over the original: nothing is lost in an outage, to a bad row, or to a full queue. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { MetadataEntry } from "../../src/domain/Metadata.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, entries, entry, failing, gated, hanging, inTurn, refusing, start } from "../support/metadataBatcher.ts"

const settle = TestClock.adjust(0)
const sizes = (calls: ReadonlyArray<ReadonlyArray<unknown>>) => calls.map((rows) => rows.length)
const values = (rows: ReadonlyArray<{ readonly key: string; readonly value: string }>) =>
  Object.fromEntries(rows.map(({ key, value }) => [key, value]))

describe("MetadataBatcher that retains", () => {
  it.effect("writes a failed batch with the next attempt", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({
        onWriteFailure: "retain",
        write: inTurn(failing("unavailable"))
      })
      yield* batcher.add(agent(1), entries(3))
      yield* batcher.flush
      assert.strictEqual(yield* batcher.pending, 3)
      assert.strictEqual(metric(Metrics.retainedKeys).count, 3)

      yield* TestClock.adjust("1 seconds")

      assert.deepStrictEqual(sizes(calls), [3, 3])
      assert.strictEqual(metric(Metrics.flushed).count, 3)
      assert.strictEqual(metric(Metrics.lostKeys.write_failed).count, 0)
    })
  )

  it.effect("never puts a failed value back over a newer one, or over a later one of the same time", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls } = yield* start({
        onWriteFailure: "retain",
        maxPending: 1_000,
        write: inTurn((rows) => Effect.andThen(Deferred.await(gate), failing("unavailable")(rows)))
      })
      yield* batcher.add(agent(1), [
        entry("newer", "1", 1),
        entry("same", "1", 1),
        entry("older", "1", 1),
        entry("only", "1", 1)
      ])
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle
      yield* batcher.add(agent(1), [entry("newer", "2", 2), entry("same", "2", 1), entry("older", "0", 0)])

      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isDefined(flushing.pollUnsafe())
      yield* batcher.flushNow

      assert.deepStrictEqual(values(calls[1]!), { newer: "2", same: "2", older: "1", only: "1" })
    })
  )

  it.effect("attempts nothing for a flush during a back-off, unless it is forced [BA-05]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start({ onWriteFailure: "retain", write: failing("unavailable") })
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush

      const flushing = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(batcher.flush, { startImmediately: true })
      )
      yield* settle
      assert.lengthOf(calls, 1)
      yield* TestClock.adjust("150 millis")
      yield* Fiber.joinAll(flushing)
      assert.lengthOf(calls, 2)
      assert.strictEqual((yield* batcher.flushNow).outcome, "failed")
      assert.lengthOf(calls, 3)
    })
  )

  it.effect("pauses longer after each failure, with jitter, at most an interval", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 2,
        write: (rows) =>
          TestClock.testClockWith((clock) =>
            Effect.sync(() => {
              attempts.push(clock.currentTimeMillisUnsafe())
            })
          ).pipe(Effect.andThen(failing("unavailable")(rows)))
      })
      yield* batcher.add(agent(1), entries(2))

      yield* TestClock.adjust("60 seconds")

      const pauses = attempts.slice(1).map((time, index) => Math.round(time - attempts[index]!))
      pauses.slice(0, 5).forEach((pause, failures) => {
        assert.isTrue(pause >= 80 * 2 ** failures && pause <= 120 * 2 ** failures, `pause ${failures} is ${pause} ms`)
      })
      const longest = pauses.slice(8)
      assert.isTrue(longest.length > 5 && longest.every((pause) => pause >= 3_333 && pause <= 5_000))
      assert.isTrue(new Set(longest).size > 1, "jitter spreads the longest pauses as well")
    })
  )

  it.effect("keeps the latest value of every key through an outage, within maxPending", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        maxPending: 1_000,
        write: inTurn((rows) => Effect.andThen(Deferred.await(gate), failing("unavailable")(rows)))
      })

      let dropped = 0
      for (let round = 0; round < 20; round++) {
        for (let number = 0; number < 90; number++) {
          dropped += yield* batcher.add(
            agent(number),
            ["a", "b", "c"].map((key) => entry(key, `round ${round}`, round))
          )
        }
      }
      assert.strictEqual(dropped, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("10 seconds")

      const latest = new Map(
        calls.slice(1).flatMap((rows) => rows.map((row) => [`${row.agentId} ${row.key}`, row.value]))
      )
      assert.strictEqual(latest.size, 270)
      assert.isTrue([...latest.values()].every((value) => value === "round 19"))
      assert.strictEqual(metric(Metrics.lostKeys.write_failed).count, 0)
    })
  )

  it.effect("drops new keys beyond maxPending and the queue, and still takes updates of pending ones", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        maxPending: 50,
        queueCapacity: 20,
        write: hanging
      })
      yield* batcher.add(agent(0), entries(10, "in flight"))
      yield* settle

      assert.strictEqual(yield* batcher.add(agent(1), entries(60)), 0)
      assert.strictEqual(yield* batcher.pending, 60)
      assert.strictEqual(yield* batcher.add(agent(2), entries(5)), 5)
      assert.strictEqual(yield* batcher.add(agent(1), entries(40)), 0)
      assert.strictEqual(yield* batcher.pending, 60)
      assert.strictEqual(metric(Metrics.pendingKeys).value, 40)
      assert.strictEqual(metric(Metrics.queueDepth).value, 20)
    })
  )

  it.effect("holds at most maxPending entries while writes fail, whatever arrives", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        maxPending: 30,
        write: (rows) => Effect.andThen(Effect.sleep("50 millis"), failing("unavailable")(rows))
      })
      let most = 0
      for (let number = 0; number < 500; number++) {
        yield* batcher.add(agent(number), entries(3))
        yield* TestClock.adjust("20 millis")
        most = Math.max(most, metric(Metrics.pendingKeys).value)
      }

      assert.strictEqual(most, 30)
      assert.strictEqual(metric(Metrics.queueDepth).value, 50)
    })
  )

  it.effect("writes a backlog batch after batch once the store is back", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        maxPending: 500,
        write: inTurn(failing("unavailable"))
      })
      yield* batcher.add(agent(1), entries(95))

      yield* TestClock.adjust("10 seconds")

      assert.strictEqual(metric(Metrics.flushed).count, 95)
      assert.deepStrictEqual(sizes(calls.slice(1)), [...Array.from({ length: 9 }, () => 10), 5])
    })
  )
})

describe("MetadataBatcher and bad rows", () => {
  it.effect("writes 499 of 500 rows when one is bad, and names the bad one without its value [MB-48]", () =>
    Effect.gen(function* () {
      const { batcher, logs, metric } = yield* start({ write: refusing("poison") })
      const rows = entries(500).map((sample, index) => (index === 317 ? { ...sample, value: "poison" } : sample))

      yield* batcher.add(agent(9), rows)
      yield* settle

      assert.strictEqual(metric(Metrics.flushed).count, 499)
      assert.strictEqual(metric(Metrics.lostKeys.rejected).count, 1)
      assert.strictEqual(metric(Metrics.batches.capacity).count, 1)
      const record = logs.find(({ message }) => message.includes("rejected"))
      assert.deepStrictEqual(record?.annotations, { agentId: agent(9), key: "key-317" })
      assert.notInclude(JSON.stringify(logs), "poison")
    })
  )

  it.effect("loses each of several bad rows and writes every other one once", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({ maxBatchSize: 50, write: refusing("poison") })
      const bad = new Set([0, 1, 25, 49])
      const rows = entries(50).map((sample, index) => (bad.has(index) ? { ...sample, value: "poison" } : sample))

      yield* batcher.add(agent(1), rows)
      yield* settle

      const written = calls.filter((part) => part.every(({ value }) => value !== "poison")).flat()
      assert.strictEqual(written.length, 46)
      assert.strictEqual(new Set(written.map(({ key }) => key)).size, 46)
      assert.strictEqual(metric(Metrics.lostKeys.rejected).count, 4)
    })
  )

  it.effect("keeps the unwritten rows when the store goes away while a batch is split", () =>
    Effect.gen(function* () {
      const refuse = refusing("poison")
      const { batcher, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 8,
        write: inTurn(refuse, refuse, failing("unavailable"), ...Array.from({ length: 9 }, () => refuse))
      })
      const rows = entries(8).map((sample, index) => (index === 6 ? { ...sample, value: "poison" } : sample))

      yield* batcher.add(agent(1), rows)
      yield* settle
      assert.strictEqual(metric(Metrics.flushed).count, 4)
      assert.strictEqual(metric(Metrics.retainedKeys).count, 4)

      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(metric(Metrics.flushed).count, 7)
      assert.strictEqual(metric(Metrics.lostKeys.rejected).count, 1)
    })
  )
})

describe("MetadataBatcher and the size of a batch", () => {
  it.effect("splits a batch that is over maxBatchBytes and writes all parts of it in one flush", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start({ maxBatchBytes: 1_000 })
      const rows = Array.from({ length: 10 }, (_, index) => entry(`k${index}`, "v".repeat(274)))

      yield* batcher.add(agent(1), rows)
      yield* TestClock.adjust("5 seconds")

      assert.deepStrictEqual(sizes(calls), [3, 3, 3, 1])
    })
  )

  it.effect("counts the bytes of keys, values, errors, ids and times, and fills a batch to its last byte", () =>
    Effect.gen(function* () {
      const sizesOf = Effect.fnUntraced(function* (...rows: ReadonlyArray<MetadataEntry>) {
        const { batcher, calls } = yield* start({ maxBatchBytes: 1_000 })
        yield* batcher.add(agent(1), rows)
        yield* batcher.flush
        return sizes(calls)
      })
      // 24 bytes for an id and a time
      const half = (key: string, value: string, error: string) => entry(key, value, 0, error)

      assert.deepStrictEqual(yield* sizesOf(half("a1", "v".repeat(474), ""), half("a2", "", "e".repeat(474))), [2])
      assert.deepStrictEqual(yield* sizesOf(half("a1", "v".repeat(474), ""), half("a2", "é", "e".repeat(472))), [2])
      for (const over of [
        half("a22", "", "e".repeat(474)),
        half("a2", "v", "e".repeat(474)),
        half("a2", "", "é".repeat(238))
      ]) {
        assert.deepStrictEqual(yield* sizesOf(half("a1", "v".repeat(474), ""), over), [1, 1])
      }
    })
  )

  it.effect("writes a single entry over maxBatchBytes alone", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start({ maxBatchBytes: 1_000 })

      yield* batcher.add(agent(1), [entry("a"), entry("huge", "v".repeat(2_000)), entry("b")])
      yield* batcher.flush

      assert.deepStrictEqual(
        calls.map((part) => part.map(({ key }) => key)),
        [["a"], ["huge"], ["b"]]
      )
    })
  )
})

describe("MetadataBatcher and a full queue", () => {
  it.effect("never drops an update of a key that is pending, with the default bounds too", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls } = yield* start({ maxBatchSize: 2, maxPending: 4, write: inTurn(gated(gate)) })
      yield* batcher.add(agent(0), entries(2))
      yield* settle
      assert.strictEqual(yield* batcher.add(agent(1), entries(12)), 0)

      assert.strictEqual(yield* batcher.add(agent(1), [entry("key-1", "latest", 9), entry("new")]), 1)
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush

      assert.strictEqual(values(calls.slice(1).flat())["key-1"], "latest")
      assert.notProperty(values(calls.slice(1).flat()), "new")
    })
  )
})
