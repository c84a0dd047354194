/** A bound on the bytes that are pending or in flight. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { heldBytes } from "../../src/metadata/internal/newestMetadata.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, entry, failing, gated, type Harness, inTurn, start } from "../support/metadataBatcher.ts"

/** An entry as large as all others that this makes. */
const large = (key: number, text = "x") => entry(String(key).padStart(6, "0"), text.repeat(70 / text.length))

const larges = (count: number, from = 0) => Array.makeBy(count, (key) => large(from + key))

/** The setting that leaves room for so many large entries, pending or in flight. */
const roomFor = (count: number) => Math.ceil((count * heldBytes(large(0)) * 16) / 15)

const settle = TestClock.adjust(0)

const checkAccounts = ({ metric }: Harness) => {
  const lost = Object.values(Metrics.lostKeys).reduce((sum, reason) => sum + metric(reason).count, 0)
  const held = [Metrics.queueDepth, Metrics.pendingKeys, Metrics.inFlightKeys].map((gauge) => metric(gauge).value)
  assert.strictEqual(
    metric(Metrics.acceptedKeys).count,
    held.reduce((sum, count) => sum + count, metric(Metrics.flushed).count + metric(Metrics.mergedKeys).count + lost)
  )
}

describe("maxPendingBytes", () => {
  it.effect("costs the agents that have the most, and leaves all values of those that have less [FT-70]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const harness = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        queueCapacity: 10,
        maxPending: 10_000,
        maxPendingBytes: roomFor(100),
        write: inTurn((rows) => Effect.andThen(Deferred.await(gate), failing("unavailable")(rows)))
      })
      const { batcher, calls, metric } = harness

      for (let key = 0; key < 50; key++) {
        for (const hoarder of [1, 2]) yield* batcher.add(agent(hoarder), [large(key), large(key + 1_000)])
        if (key % 10 === 0) yield* batcher.add(agent(3), [large(key, "few")])
        checkAccounts(harness)
        assert.isAtMost(metric(Metrics.pendingKeys).value + metric(Metrics.inFlightKeys).value, 100)
      }
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 minute")

      const stored = calls.slice(1).flat()
      const ofAgent = (number: number) => stored.filter(({ agentId }) => agentId === agent(number)).length
      assert.strictEqual(ofAgent(3), 5)
      assert.isAbove(ofAgent(1), 20)
      assert.isAbove(ofAgent(2), 20)
      assert.strictEqual(metric(Metrics.lostKeys.evicted).count, 205 - stored.length)
      assert.isAbove(metric(Metrics.lostKeys.evicted).count, 90)
      checkAccounts(harness)
    })
  )

  it.effect("counts only the newest values, whatever their characters", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({ maxPendingBytes: roomFor(3) })

      for (let round = 0; round < 100; round++) {
        for (const number of [1, 2, 3]) yield* batcher.add(agent(number), [large(1, round % 2 === 0 ? "é€" : "x")])
      }
      assert.strictEqual(metric(Metrics.lostKeys.evicted).count, 0)
      assert.strictEqual(yield* batcher.pending, 3)
      yield* batcher.add(agent(4), [large(1)])

      assert.strictEqual(metric(Metrics.lostKeys.evicted).count, 2)
      assert.strictEqual(yield* batcher.pending, 2)
    })
  )

  it.effect("counts a batch in flight", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, metric } = yield* start({
        maxBatchSize: 5,
        queueCapacity: 5,
        maxPending: 1_000,
        maxPendingBytes: roomFor(10),
        write: gated(gate)
      })
      yield* batcher.add(agent(1), larges(5))
      yield* settle
      assert.strictEqual(metric(Metrics.inFlightKeys).value, 5)
      yield* batcher.add(agent(1), larges(5, 100))
      assert.strictEqual(metric(Metrics.lostKeys.evicted).count, 0)
      yield* batcher.add(agent(1), larges(5, 200))
      assert.isAbove(metric(Metrics.lostKeys.evicted).count, 0)

      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush
      assert.strictEqual(yield* batcher.pending, 0)
    })
  )

  it.effect("tells callers that wait for an entry that it was lost, and logs no value", () =>
    Effect.gen(function* () {
      const { batcher, logs, metric } = yield* start({ maxPendingBytes: roomFor(10) })
      const waiting = yield* Effect.forkChild(Effect.flip(batcher.addAndWait(agent(1), larges(11))), {
        startImmediately: true
      })
      yield* batcher.flush

      const error = yield* Fiber.join(waiting)
      assert.isTrue(error._tag === "Lost" && error.reason === "evicted")
      assert.strictEqual(error.updates.length, metric(Metrics.lostKeys.evicted).count)
      assert.deepInclude(
        logs.find(({ message }) => message === "pending metadata was lost"),
        { level: "Debug", annotations: { reason: "evicted", entries: error.updates.length } }
      )
      assert.notInclude(JSON.stringify(logs), "xxxxx")
    })
  )

  it.effect("is taken in part by what is pending, which anyone can ask [SL-07]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({ maxPendingBytes: roomFor(10) })
      const before = batcher.saturationUnsafe()
      yield* batcher.add(agent(1), larges(5))
      const half = batcher.saturationUnsafe()
      yield* batcher.flush

      assert.deepStrictEqual([before, batcher.saturationUnsafe()], [0, 0])
      assert.approximately(half, 0.5, 0.1)
    })
  )

  it.effect("is taken in part by what is in flight [SL-07]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher } = yield* start({
        maxBatchSize: 5,
        maxPending: 1_000,
        maxPendingBytes: roomFor(10),
        write: gated(gate)
      })
      yield* batcher.add(agent(1), larges(5))
      yield* settle
      const half = batcher.saturationUnsafe()
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush

      assert.approximately(half, 0.5, 0.1)
      assert.strictEqual(batcher.saturationUnsafe(), 0)
    })
  )

  it.effect("leaves a sixteenth to the mailbox, which takes the first entries that fit", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, metric } = yield* start({
        maxBatchSize: 1,
        queueCapacity: 100,
        maxPending: 1,
        maxPendingBytes: 16 * 3 * heldBytes(large(0)),
        write: gated(gate)
      })
      yield* batcher.add(agent(1), larges(1))
      yield* settle

      assert.strictEqual(yield* batcher.add(agent(1), larges(5, 100)), 2)
      assert.strictEqual(metric(Metrics.queueDepth).value, 3)
      assert.strictEqual(yield* batcher.add(agent(1), larges(1, 200)), 1)
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush
    })
  )

  it.effect("loses an entry alone that is larger than the bound", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({ maxPendingBytes: roomFor(3) })
      yield* batcher.add(agent(1), [entry("a", "x".repeat(2_000))])
      yield* batcher.add(agent(2), [large(1)])
      yield* batcher.flush

      assert.strictEqual(metric(Metrics.lostKeys.evicted).count, 1)
      assert.deepStrictEqual(
        calls.flat().map(({ agentId }) => agentId),
        [agent(2)]
      )
    })
  )

  it.effect("bounds the mailbox too: entries that do not fit go on into those that are pending", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const harness = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        queueCapacity: 10_000,
        maxPending: 10_000,
        maxPendingBytes: roomFor(100),
        write: gated(gate)
      })
      const { batcher, calls, metric } = harness
      yield* batcher.add(agent(9), larges(10))
      yield* settle
      for (let key = 0; key < 2_000; key += 10) {
        yield* batcher.add(agent(1), larges(10, key))
        if (key % 200 === 0) yield* batcher.add(agent(2), larges(1, key))
        // a sixteenth of the bytes
        assert.isAtMost(metric(Metrics.queueDepth).value, 6)
        checkAccounts(harness)
      }
      assert.isAtMost(yield* batcher.pending, 106)
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush

      assert.lengthOf(
        calls.flat().filter(({ agentId }) => agentId === agent(2)),
        10
      )
      checkAccounts(harness)
    })
  )

  it.effect("needs an accumulator that counts bytes", () =>
    Effect.gen(function* () {
      const error = yield* Batcher.makeChecked({
        accumulator: Accumulator.fifo<number>(),
        write: () => Effect.void,
        maxPendingBytes: 1_000
      }).pipe(Effect.scoped, Effect.flip)

      assert.include(error.message, "maxPendingBytes must be left out without an accumulator with `sized`")
    })
  )
})
