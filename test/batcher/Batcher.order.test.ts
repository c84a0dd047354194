/** The order of updates, and what a flush covers. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Queue, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { failTimes, keyedNumbers, numbers, settle, start } from "../support/numberBatcher.ts"

describe("the order of updates", () => {
  for (const [name, accumulator] of [
    ["fifo", Accumulator.fifo<number>() as Accumulator.Accumulator<unknown, number>],
    ["keyed", keyedNumbers]
  ] as const) {
    it.effect(`stays the same over a failed write, with ${name} [BA-01]`, () =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start({
          accumulator,
          maxBatchSize: 2,
          queueCapacity: 2,
          maxPending: 100,
          onWriteFailure: "retain",
          write: failTimes(3)
        })

        for (const number of numbers(1, 8)) assert.strictEqual(yield* batcher.add([number]), 0)
        yield* TestClock.adjust("5 seconds")

        assert.deepStrictEqual(batches.flat(), numbers(1, 8))
      })
    )

    it.effect(`stays the same over a limit of bytes, with ${name} [BA-01]`, () =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start({
          accumulator,
          maxBatchSize: 4,
          maxBatchBytes: 2,
          sizeOf: () => 1,
          queueCapacity: 100
        })

        yield* batcher.add(numbers(1, 12))
        yield* batcher.flush

        assert.deepStrictEqual(batches, [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
          [9, 10],
          [11, 12]
        ])
      })
    )
  }

  it.effect("is the one of each partition when several are written at a time [BA-02]", () =>
    Effect.gen(function* () {
      const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const started: Array<ReadonlyArray<number>> = []
      const { batcher, batches } = yield* start({
        maxBatchSize: 2,
        concurrency: 2,
        maxPending: 10,
        partitionBy: (number) => number % 2,
        write: (batch) => {
          started.push(batch)
          return started.length <= 2 ? Deferred.await(gates[batch[0]! % 2]!) : Effect.void
        }
      })

      yield* batcher.add([1, 3])
      yield* settle
      yield* batcher.add([2, 4, 5, 7])
      yield* settle
      assert.deepStrictEqual(started, [
        [1, 3],
        [2, 4]
      ])
      yield* Deferred.succeed(gates[0]!, undefined)
      yield* settle
      assert.deepStrictEqual(started.length, 2, "odd numbers wait for odd numbers")
      yield* Deferred.succeed(gates[1]!, undefined)
      yield* batcher.flush

      assert.deepStrictEqual(
        batches.flat().filter((number) => number % 2 === 1),
        [1, 3, 5, 7]
      )
    })
  )

  it.effect("pauses anew when another write fails during a back-off [BA-05]", () =>
    Effect.gen(function* () {
      const started: Array<number> = []
      const { batcher } = yield* start({
        maxBatchSize: 1,
        concurrency: 2,
        partitionBy: (number) => number % 2,
        onWriteFailure: "retain",
        retry: Schedule.spaced("1 second"),
        write: ([number]) => {
          started.push(number!)
          const failure = Effect.fail("away")
          return started.length > 2 ? Effect.void : Effect.delay(failure, number === 1 ? "1 millis" : "500 millis")
        }
      })

      yield* batcher.add([1, 2])
      yield* TestClock.adjust("1499 millis")
      assert.deepStrictEqual(started, [1, 2])
      yield* TestClock.adjust("1 millis")

      assert.sameMembers(started, [1, 2, 1, 2])
    })
  )

  it.effect("pauses although another write succeeds before the observer has heard of the failure [BA-05]", () =>
    Effect.gen(function* () {
      const started: Array<number> = []
      const { batcher } = yield* start({
        maxBatchSize: 1,
        concurrency: 2,
        partitionBy: (number) => number % 2,
        onWriteFailure: "retain",
        retry: Schedule.spaced("1 second"),
        observer: { onFailed: () => Effect.sleep("500 millis") },
        write: ([number]) => {
          started.push(number!)
          return number === 1 ? Effect.delay(Effect.fail("away"), "1 millis") : Effect.sleep("100 millis")
        }
      })

      yield* batcher.add([1, 2])
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(started, [1, 2])
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(started, [1, 2, 1])
    })
  )

  it.effect("needs partitions for more than one write at a time [BA-02]", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          Batcher.makeChecked({ accumulator: Accumulator.fifo<number>(), write: () => Effect.void, concurrency: 2 })
        )
      )

      assert.include(error.message, "concurrency must be 1 without partitionBy")
    })
  )
})

describe("flush", () => {
  it.effect("returns when everything accepted before it is written, whatever is added meanwhile [BA-03]", () =>
    Effect.gen(function* () {
      const permits = yield* Queue.unbounded<void>()
      const { batcher, batches } = yield* start({
        accumulator: keyedNumbers,
        maxBatchSize: 4,
        maxBatchBytes: 2,
        sizeOf: () => 1,
        queueCapacity: 4,
        write: () => Queue.take(permits)
      })
      let accepted = numbers(1, 9)
      accepted = accepted.slice(0, 9 - (yield* batcher.add(accepted)))
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      for (const number of numbers(10, 13)) {
        yield* settle
        yield* batcher.add([number])
        yield* Queue.offer(permits, undefined)
      }
      yield* Queue.offerAll(
        permits,
        Array.from({ length: 20 }, () => undefined)
      )

      const { outcome } = yield* Fiber.join(flushing)

      assert.strictEqual(outcome, "completed")
      assert.includeMembers(batches.flat(), accepted)
    })
  )

  it.effect("leaves what is added after it to the next trigger [BA-03]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, batches } = yield* start({
        concurrency: 2,
        partitionBy: (number) => number,
        write: () => Deferred.await(gate)
      })
      yield* batcher.add([1])
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle
      yield* batcher.add([2])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(flushing)
      yield* settle

      assert.deepStrictEqual(batches, [[1]])
      assert.strictEqual((yield* batcher.accounting).pending, 1)
    })
  )

  it.effect("returns how many updates were written, rejected, lost and put back [BA-04]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        isRejection: (error) => error === "bad",
        write: (batch) => (batch.includes(3) ? Effect.fail("bad") : Effect.void)
      })
      yield* batcher.add(numbers(1, 4))

      const { cause: _, ...result } = yield* batcher.flush
      assert.deepStrictEqual(result, { outcome: "completed", written: 3, rejected: 1, lost: 0, retained: 0 })

      const failing = yield* start({ onWriteFailure: "retain", write: () => Effect.fail("away") })
      yield* failing.batcher.add([1, 2])
      const failed = yield* failing.batcher.flush
      assert.deepStrictEqual([failed.outcome, failed.retained], ["failed", 2])
      assert.strictEqual(failed.cause && Cause.squash(failed.cause), "away")
      yield* failing.batcher.closeNow
      assert.strictEqual((yield* failing.batcher.flush).outcome, "closed")
    })
  )

  for (const onWriteFailure of ["discard", "retain"] as const) {
    it.effect(`that is asked for during a write that fails tells its outcome, with ${onWriteFailure} [BA-04]`, () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { batcher, batches } = yield* start({
          onWriteFailure,
          write: (batch) =>
            batch.includes(1) ? Effect.andThen(Deferred.await(gate), Effect.fail("away")) : Effect.void
        })
        yield* batcher.add([1])
        const first = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
        yield* settle
        yield* batcher.add([2])
        const second = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
        yield* settle
        assert.isUndefined(second.pollUnsafe())

        yield* Deferred.succeed(gate, undefined)
        const firstResult = yield* Fiber.join(first)
        // with retain, the second waits for the end of the back-off
        yield* TestClock.adjust("1 second")
        const results = [firstResult, yield* Fiber.join(second)]

        const causes = results.map(({ cause }) => cause && Cause.squash(cause))
        const counts = results.map(({ cause: _, ...result }) => result)
        const none = { written: 0, rejected: 0, lost: 0, retained: 0 }
        if (onWriteFailure === "discard") {
          assert.deepStrictEqual(counts, [
            { ...none, outcome: "completed", lost: 1 },
            { ...none, outcome: "completed", written: 1 }
          ])
          assert.deepStrictEqual(causes, ["away", undefined])
          assert.deepStrictEqual(batches, [[2]])
        } else {
          // the batch is back in front of all others
          assert.deepStrictEqual(
            counts.map(({ outcome }) => outcome),
            ["failed", "failed"]
          )
          assert.deepStrictEqual(batches, [])
        }
      })
    )
  }

  it.effect("tells what became of a batch that was on its way already, where several may be [BA-04]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher } = yield* start({
        maxBatchSize: 2,
        concurrency: 2,
        partitionBy: () => "all",
        isRejection: (error) => error === "bad",
        write: (batch) => Effect.andThen(Deferred.await(gate), batch.includes(3) ? Effect.fail("bad") : Effect.void)
      })
      yield* batcher.add([2, 3])
      yield* settle
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle
      assert.isUndefined(flushing.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)

      const { cause: _, ...result } = yield* Fiber.join(flushing)
      assert.deepStrictEqual(result, { outcome: "completed", written: 1, rejected: 1, lost: 0, retained: 0 })
    })
  )

  it.effect("tells what closing has written, whether it was asked for before or meanwhile [BA-04]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { batcher } = yield* Scope.provide(
        start({
          maxBatchSize: 2,
          write: (batch) => Effect.delay(batch.includes(3) ? Effect.fail("away") : Effect.void, "100 millis")
        }),
        scope
      )
      yield* batcher.add([1, 2, 3, 4, 5])
      yield* settle
      const before = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("150 millis")
      const meanwhile = yield* Effect.forkChild(batcher.flushNow, { startImmediately: true })
      yield* TestClock.adjust("1 second")

      for (const flush of [before, meanwhile]) {
        const { lost, outcome, written } = yield* Fiber.join(flush)
        assert.deepStrictEqual({ lost, outcome, written }, { lost: 2, outcome: "completed", written: 1 })
      }
    })
  )

  it.effect("returns at once when the batcher has closed, and writes nothing [BA-04]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { batcher, batches } = yield* Scope.provide(start(), scope)
      yield* batcher.add([1])
      yield* Scope.close(scope, Exit.void)

      for (const flush of [batcher.flush, batcher.flushNow]) {
        const fiber = yield* Effect.forkChild(flush, { startImmediately: true })
        assert.deepStrictEqual(
          fiber.pollUnsafe(),
          Exit.succeed({ outcome: "closed", written: 0, rejected: 0, lost: 0, retained: 0, cause: undefined })
        )
      }
      assert.deepStrictEqual(batches, [[1]])
    })
  )

  it.effect("waits for the end of a back-off unless it is forced [BA-05]", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (attempts++, Effect.fail("away")))
      })
      yield* batcher.add([1])
      yield* batcher.flush
      assert.strictEqual(attempts, 1)

      const producers = yield* Effect.forEach(numbers(1, 3), () => Effect.forkChild(batcher.flush))
      yield* settle
      assert.strictEqual(attempts, 1)
      yield* TestClock.adjust("150 millis")
      yield* Fiber.joinAll(producers)
      assert.strictEqual(attempts, 2)
      yield* batcher.flushNow
      assert.strictEqual(attempts, 3)
      yield* batcher.closeNow
    })
  )

  for (const place of ["write", "onTake", "onWritten"] as const) {
    it.effect(`returns at once when it is called in ${place} of the same batcher [BA-06]`, () =>
      Effect.gen(function* () {
        const outcomes: Array<string> = []
        const flush: Effect.Effect<void> = Effect.suspend(() =>
          Effect.map(inside.batcher.flush, ({ outcome }) => void outcomes.push(outcome))
        )
        const inside: { readonly batcher: Batcher.Batcher<number> } = yield* start({
          write: () => (place === "write" ? flush : Effect.void),
          observer: {
            onTake: () => (place === "onTake" ? flush : Effect.void),
            onWritten: () => (place === "onWritten" ? flush : Effect.void)
          }
        })
        yield* inside.batcher.add([1])

        assert.strictEqual((yield* inside.batcher.flush).outcome, "completed")
        assert.deepStrictEqual(outcomes, ["nested"])
      })
    )
  }
})
