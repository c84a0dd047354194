/** Misbehaving writes, observers, rules and callers do not break a batcher. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { assertLinear } from "../support/linear.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { numbers, settle, start } from "../support/numberBatcher.ts"

/** Under either of these a batcher must hold what it promises. */
const clocks = [
  ["the clock of tests", it.effect],
  ["the real clock", it.live]
] as const

describe("an idle store", () => {
  for (const [clock, test] of clocks) {
    test(`takes a burst in one turn of the event loop without a drop, under ${clock} [BA-20]`, () =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start()

        let dropped = 0
        for (let burst = 0; burst < 5_000; burst++) dropped += batcher.addUnsafe(numbers(1, 10))
        yield* batcher.flush

        assert.strictEqual(dropped, 0)
        assert.strictEqual(batches.flat().length, 50_000)
      }))
  }

  for (const [clock, test] of clocks) {
    test(`takes ten thousand updates that are added at once, under ${clock} [BA-20]`, () =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start()

        assert.strictEqual(yield* batcher.add(numbers(1, 10_000)), 0)
        yield* batcher.flush

        assert.deepStrictEqual(batches.flat(), numbers(1, 10_000))
      }))
  }

  it.effect("takes time in proportion to the updates that are added at once [BA-20]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start()

      assertLinear("add", (text) => batcher.addUnsafe(Array.from(text, () => 1)), "a")
    })
  )
})

describe("a caller", () => {
  for (const [clock, test] of clocks) {
    test(`does not run a write on its own stack, under ${clock} [BA-21]`, () =>
      Effect.gen(function* () {
        let isAdding = false
        let wasAdding = false
        const { batcher } = yield* start({
          maxBatchSize: 2,
          write: () => Effect.sync(() => (wasAdding ||= isAdding))
        })

        isAdding = true
        batcher.addUnsafe([1, 2])
        isAdding = false
        yield* batcher.flush

        assert.isFalse(wasAdding)
      }))
  }

  it.effect("may use its array again after add [BA-22]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, batches } = yield* start({ maxBatchSize: 2, write: () => Deferred.await(gate) })
      const array: Array<number> = []
      for (let number = 0; number < 12; number += 2) {
        array.length = 0
        array.push(number, number + 1)
        assert.strictEqual(yield* batcher.add(array), 0)
        yield* settle
      }
      array.length = 0
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush

      assert.deepStrictEqual(batches.flat(), numbers(0, 11))
      assert.strictEqual(yield* batcher.pending, 0)
    })
  )

  it.effect("that interrupts a flush leaves nothing behind [BA-23]", () =>
    Effect.gen(function* () {
      let flushes = 0
      const { batcher } = yield* start({ maxBatchSize: 1, write: () => Effect.never })
      yield* batcher.add([1, 2])
      yield* settle
      const flushing = yield* Effect.forEach(numbers(1, 100), () =>
        Effect.forkChild(
          Effect.onInterrupt(batcher.flush, () => Effect.sync(() => flushes++)),
          { startImmediately: true }
        )
      )

      yield* Fiber.interruptAll(flushing)

      assert.strictEqual(flushes, 100)
      assert.deepStrictEqual(yield* batcher.closeNow, [1, 2])
    })
  )
})

describe("a bug", () => {
  it.effect("in isRejection counts as no rejection [BA-24]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        isRejection: () => {
          throw new Error("a bug")
        },
        write: () => Effect.fail("away")
      })
      yield* batcher.add([1, 2])

      assert.strictEqual((yield* batcher.flush).retained, 2)
      assert.deepStrictEqual(yield* batcher.closeNow, [1, 2])
    })
  )

  it.effect("in write, which returns a promise, is a failure like any other [BA-25]", () =>
    Effect.gen(function* () {
      const batches: Array<ReadonlyArray<number>> = []
      const batcher = yield* Batcher.make({
        accumulator: Accumulator.fifo<number>(),
        onWriteFailure: "retain",
        write: (batch) =>
          batches.push(batch) === 1 ? (Promise.resolve() as unknown as Effect.Effect<void>) : Effect.void
      })
      yield* batcher.add([1])

      const { cause, outcome } = yield* batcher.flush
      yield* TestClock.adjust("1 second")

      assert.strictEqual(outcome, "failed")
      assert.include(String(cause), "must return an Effect")
      assert.deepStrictEqual(batches, [[1], [1]])
    })
  )

  it.effect("in a rule of the accumulator is counted, and the batcher goes on [BA-25]", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      const batcher = yield* Batcher.make<Map<string, string>, string, never, never>({
        accumulator: Accumulator.keyed<string, string>({
          key: (word) => word[0]!,
          merge: () => {
            throw new Error("a bug")
          }
        }),
        write: (batch) => Effect.sync(() => written.push(...batch))
      })
      yield* batcher.add(["a1"])
      yield* batcher.add(["a2", "b1"])
      yield* batcher.add(["c1"])
      yield* batcher.flush

      const { accepted, lost, merged, written: count } = yield* batcher.accounting
      assert.include(written, "c1")
      assert.isAbove(lost.defect, 0)
      assert.strictEqual(accepted, count + merged + lost.defect)
    })
  )

  it.effect("of a write that interrupts itself loses nothing [BA-25]", () =>
    Effect.gen(function* () {
      let calls = 0
      const { batcher, batches } = yield* start({
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (calls++ === 0 ? Effect.interrupt : Effect.void))
      })
      yield* batcher.add([1])
      assert.strictEqual((yield* batcher.flush).outcome, "failed")
      yield* TestClock.adjust("1 second")

      assert.strictEqual(calls, 2)
      assert.deepStrictEqual(batches, [[1]])
    })
  )

  it.effect("of an observer that hangs holds up closing no longer than the timeout [BA-26]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { batcher } = yield* Scope.provide(
        start({
          shutdownTimeout: "3 seconds",
          observer: { onClosed: () => Effect.never, onDraining: () => Effect.never }
        }),
        scope
      )
      yield* batcher.add([1])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })

      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual((yield* batcher.accounting).written, 1)
    })
  )
})

describe("closing", () => {
  it.effect("reserves time for the observer that saves the rest [BA-26]", () =>
    Effect.gen(function* () {
      const saved: Array<number> = []
      const scope = yield* Scope.make()
      const { batcher } = yield* Scope.provide(
        start({
          shutdownTimeout: "10 seconds",
          handoverTimeout: "2 seconds",
          write: () => Effect.never,
          observer: {
            onClosed: ({ updates }) =>
              Effect.delay(
                Effect.sync(() => saved.push(...updates)),
                "1 second"
              )
          }
        }),
        scope
      )
      yield* batcher.add([1, 2])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })

      yield* TestClock.adjust("9 seconds")

      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(saved, [1, 2])
    })
  )

  it.live.each([
    { doing: "writes", write: () => Effect.sleep("1 second"), left: { inFlight: 2, pending: 1 } },
    { doing: "pauses after a failure", write: () => Effect.fail("away"), left: { inFlight: 0, pending: 3 } }
  ])("ends a test at once that nobody moves the clock of, and says what was pending, while it $doing [BA-27]", (one) =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const begin = yield* Clock.monotonicTimeNanos
      yield* Effect.gen(function* () {
        const { batcher } = yield* start({ maxBatchSize: 2, onWriteFailure: "retain", write: one.write })
        yield* batcher.add([1, 2, 3])
        yield* Effect.yieldNow
      }).pipe(Effect.scoped, collectLogs(logs), Effect.provide(TestClock.layer()))
      const elapsed = Duration.nanos((yield* Clock.monotonicTimeNanos) - begin)

      assert.isTrue(Duration.isLessThan(elapsed, Duration.seconds(1)), Duration.format(elapsed))
      const record = logs.find(({ message }) => message.includes("nobody moved the clock"))
      assert.deepInclude(record, { annotations: one.left })
    })
  )

  it.live("goes on while a test moves the clock by which its writes sleep [BA-27]", () =>
    Effect.gen(function* () {
      const live = yield* Clock.Clock
      const millis = Effect.sync(() => live.currentTimeMillisUnsafe())
      yield* Effect.gen(function* () {
        const scope = yield* Scope.make()
        const options = { shutdownTimeout: "1 day", write: () => Effect.sleep("12 hours") } as const
        const { batcher, batches } = yield* Scope.provide(start(options), scope)
        yield* batcher.add([1])
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust(1)
        // longer than closing looks at a clock that stands still
        for (const begin = yield* millis; (yield* millis) - begin < 200;) {
          yield* TestClock.adjust(1)
          yield* Effect.yieldNow
        }
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("12 hours")
        yield* Fiber.join(closing)

        assert.deepStrictEqual(batches, [[1]])
      }).pipe(Effect.provide(TestClock.layer()))
    })
  )

  it.live("waits for a write that does not sleep by the clock of a test, beside one that does [BA-27]", () =>
    Effect.gen(function* () {
      const live = yield* Clock.Clock
      const saved: Array<number> = []
      yield* Effect.gen(function* () {
        const { batcher } = yield* start({
          maxBatchSize: 1,
          concurrency: 2,
          partitionBy: (number) => number % 2,
          write: ([number]) =>
            number === 1
              ? Effect.sleep("1 hour")
              : // longer than closing looks at writes that all sleep
                Effect.sleep("200 millis").pipe(
                  Effect.provideService(Clock.Clock, live),
                  Effect.andThen(Effect.sync(() => saved.push(number!)))
                )
        })
        yield* batcher.add([1, 2])
        yield* Effect.yieldNow
      }).pipe(Effect.scoped, collectLogs([]), Effect.provide(TestClock.layer()))

      assert.deepStrictEqual(saved, [2])
    })
  )
})
