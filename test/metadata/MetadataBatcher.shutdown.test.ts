/** The writes of closing, its duration, and the losses that it counts. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import {
  agent,
  entries,
  failing,
  gated,
  type Harness,
  hanging,
  inTurn,
  start,
  well
} from "../support/metadataBatcher.ts"

const settle = TestClock.adjust(0)
const sizes = (calls: ReadonlyArray<ReadonlyArray<unknown>>) => calls.map((rows) => rows.length)

const closing = (harness: Harness) =>
  Effect.tap(Effect.forkChild(harness.close, { startImmediately: true }), () => settle)

const isOver = (fiber: Fiber.Fiber<unknown, unknown>) =>
  (fiber.pollUnsafe() satisfies Exit.Exit<unknown, unknown> | undefined) !== undefined

describe("MetadataBatcher shutdown", () => {
  it.effect("writes everything pending when it closes [MB-39, MB-42]", () =>
    Effect.gen(function* () {
      const harness = yield* start()
      yield* harness.batcher.add(agent(1), entries(3))

      yield* harness.close

      assert.deepStrictEqual(sizes(harness.calls), [3])
      assert.strictEqual(harness.metric(Metrics.batches.shutdown).count, 1)
      assert.strictEqual(harness.published.length, 1)
    })
  )

  it.effect("does not interrupt its last write by the interruption that ends it [MB-43]", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const harness = yield* start({
        write: (rows) =>
          Effect.onInterrupt(Effect.delay(well(rows), "1 second"), () => Effect.sync(() => void interrupted++))
      })
      yield* harness.batcher.add(agent(1), entries(3))
      const owner = yield* Effect.forkChild(
        Effect.onExit(Effect.never, () => harness.close),
        {
          startImmediately: true
        }
      )

      const ending = yield* Effect.forkChild(Fiber.interrupt(owner), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.isFalse(isOver(ending))
      yield* TestClock.adjust("1 millis")

      assert.isTrue(isOver(ending))
      assert.deepStrictEqual([interrupted, harness.metric(Metrics.flushed).count], [0, 3])
    })
  )

  it.effect("has closed only when the last batch is written [MB-40]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const harness = yield* start({ write: gated(gate) })
      yield* harness.batcher.add(agent(1), entries(3))

      const fiber = yield* closing(harness)
      assert.isFalse(isOver(fiber))

      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.flushed).count, 3)
    })
  )

  for (const [label, options, timeout] of [
    ["15 s by default", {}, 15_000],
    ["the shutdownTimeout given", { shutdownTimeout: "2 seconds" }, 2_000]
  ] as const) {
    it.effect(`returns at exactly ${label} when the store hangs, and counts what is lost [MB-41]`, () =>
      Effect.gen(function* () {
        const harness = yield* start({ maxBatchSize: 4, write: hanging, ...options })
        yield* harness.batcher.add(agent(1), entries(4))
        yield* harness.batcher.add(agent(2), entries(7))

        const fiber = yield* closing(harness)
        yield* TestClock.adjust(timeout - 1)
        assert.isFalse(isOver(fiber))

        yield* TestClock.adjust(1)
        assert.isTrue(isOver(fiber))
        assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 11)
        assert.strictEqual(yield* harness.batcher.pending, 0)
        const record = harness.logs.find(({ message }) => message.includes("has closed"))
        assert.deepInclude(record, { level: "Warn", annotations: { written: 0, lost: 11 } })
      })
    )
  }

  it.effect("counts what the store has stored as written, although the announcement hangs [FT-15]", () =>
    Effect.gen(function* () {
      const harness = yield* start({ publish: () => Effect.never })
      const waiting = yield* Effect.forkChild(harness.batcher.addAndWait(agent(1), entries(3)), {
        startImmediately: true
      })
      const fiber = yield* closing(harness)
      yield* TestClock.adjust("15 seconds")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.flushed).count, 3)
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 0)
      yield* Fiber.join(waiting)
    })
  )

  it.effect("counts a value that a newer one of its key replaces as merged, also when both are lost [FT-15]", () =>
    Effect.gen(function* () {
      const harness = yield* start({ maxBatchSize: 4, write: hanging })
      yield* harness.batcher.add(agent(1), entries(4))
      yield* TestClock.adjust(0)
      yield* harness.batcher.add(agent(1), entries(3))

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("15 seconds")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.mergedKeys).count, 3)
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 4)
    })
  )

  it.effect("returns in time although the store cannot be interrupted", () =>
    Effect.gen(function* () {
      const harness = yield* start({ write: () => Effect.uninterruptible(Effect.never) })
      yield* harness.batcher.add(agent(1), entries(3))

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("15 seconds")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 3)
    })
  )

  it.effect("writes everything accepted, the queue included [MB-44]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const harness = yield* start({ maxBatchSize: 4, write: inTurn(gated(gate)) })
      yield* harness.batcher.add(agent(1), entries(4))
      yield* harness.batcher.add(agent(2), entries(20))

      const fiber = yield* closing(harness)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(sizes(harness.calls), [4, 4, 4, 4, 4, 4])
      assert.strictEqual(harness.metric(Metrics.flushed).count, 24)
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 0)
      const record = harness.logs.find(({ message }) => message.includes("has closed"))
      assert.deepInclude(record, { level: "Info", annotations: { written: 24, lost: 0 } })
    })
  )

  it.effect("waits for the write in flight instead of cancelling it [MB-45]", () =>
    Effect.gen(function* () {
      let cancelled = false
      const slow = (rows: Parameters<typeof well>[0]) =>
        Effect.onInterrupt(Effect.delay(well(rows), "10 seconds"), () => Effect.sync(() => (cancelled = true)))
      const harness = yield* start({ maxBatchSize: 3, write: slow })
      yield* harness.batcher.add(agent(1), entries(3))
      yield* TestClock.adjust("4 seconds")

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("6 seconds")

      assert.isTrue(isOver(fiber))
      assert.isFalse(cancelled)
      assert.strictEqual(harness.metric(Metrics.flushed).count, 3)
    })
  )

  it.effect("spends one timeout on the write in flight and the rest together", () =>
    Effect.gen(function* () {
      const slow = (rows: Parameters<typeof well>[0]) => Effect.delay(well(rows), "6 seconds")
      const harness = yield* start({ maxBatchSize: 3, write: slow })
      yield* harness.batcher.add(agent(1), entries(9))

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("15 seconds")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.flushed).count, 6)
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 3)
    })
  )

  it.effect("goes on trying until the timeout when it retains, and writes if the store comes back in time", () =>
    Effect.gen(function* () {
      const harness = yield* start({
        onWriteFailure: "retain",
        write: inTurn(...Array.from({ length: 4 }, () => failing("unavailable")))
      })
      yield* harness.batcher.add(agent(1), entries(3))

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("15 seconds")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.flushed).count, 3)
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 0)
    })
  )

  it.effect("counts the entries that a failing store left unwritten when it retains and closes", () =>
    Effect.gen(function* () {
      const harness = yield* start({ onWriteFailure: "retain", write: failing("unavailable") })
      yield* harness.batcher.add(agent(1), entries(3))

      const fiber = yield* closing(harness)
      yield* TestClock.adjust("14999 millis")
      assert.isFalse(isOver(fiber))
      yield* TestClock.adjust("1 millis")

      assert.isTrue(isOver(fiber))
      assert.strictEqual(harness.metric(Metrics.lostKeys.shutdown).count, 3)
    })
  )

  it.effect("does not wait out a pause between attempts before it drains", () =>
    Effect.gen(function* () {
      const harness = yield* start({ onWriteFailure: "retain", write: inTurn(failing("unavailable")) })
      yield* harness.batcher.add(agent(1), entries(3))
      yield* harness.batcher.flush

      yield* harness.close

      assert.strictEqual(harness.metric(Metrics.flushed).count, 3)
    })
  )

  it.effect("returns from a flush that was called while it closes", () =>
    Effect.gen(function* () {
      const harness = yield* start({ write: hanging })
      yield* harness.batcher.add(agent(1), entries(1))
      const before = yield* Effect.forkChild(harness.batcher.flush, { startImmediately: true })
      yield* closing(harness)
      const during = yield* Effect.forkChild(harness.batcher.flush, { startImmediately: true })

      yield* TestClock.adjust("15 seconds")

      assert.deepStrictEqual([isOver(before), isOver(during)], [true, true])
    })
  )
})
