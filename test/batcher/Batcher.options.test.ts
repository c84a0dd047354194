/** Options of a batcher: retries, backlogs, ages, pauses, streams, an end at once. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { failTimes, numbers, settle, start } from "../support/numberBatcher.ts"

describe("the retry policy", () => {
  it.effect("is the caller's schedule; updates that are given up are handed over [BA-10]", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const given: Array<Batcher.GivenUp<number, string>> = []
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        retry: Schedule.upTo(Schedule.spaced("1 second"), { times: 2 }),
        observer: { onGivenUp: (updates) => Effect.sync(() => given.push(updates)) },
        write: () =>
          TestClock.testClockWith((clock) => {
            attempts.push(clock.currentTimeMillisUnsafe())
            return Effect.fail("away")
          })
      })
      yield* batcher.add([1, 2])
      yield* Effect.forkChild(batcher.flush)

      yield* TestClock.adjust("10 seconds")

      assert.deepStrictEqual(
        attempts.map((time) => time - attempts[0]!),
        [0, 1_000, 2_000]
      )
      assert.deepStrictEqual(
        given.map(({ attempts, updates }) => [attempts, updates]),
        [[3, [1, 2]]]
      )
      assert.strictEqual((yield* batcher.accounting).lost.given_up, 2)
    })
  )

  it.effect("can be a number of attempts [BA-10]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({ onWriteFailure: "retain", maxAttempts: 3, write: () => Effect.fail("away") })
      const waiting = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([1])), { startImmediately: true })

      yield* TestClock.adjust("10 seconds")

      const error = yield* Fiber.join(waiting)
      assert.isTrue(error._tag === "Lost" && error.reason === "given_up")
    })
  )

  it.effect("allows each batch as many attempts as the one before [BA-10]", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const { batcher } = yield* start({
        maxBatchSize: 1,
        onWriteFailure: "retain",
        maxAttempts: 3,
        write: ([number]) =>
          Effect.andThen(
            Effect.sync(() => attempts.push(number!)),
            Effect.fail("away")
          )
      })

      yield* batcher.add([1, 2])
      yield* TestClock.adjust("10 seconds")

      assert.deepStrictEqual(attempts, [1, 1, 1, 2, 2, 2])
      assert.strictEqual((yield* batcher.accounting).lost.given_up, 2)
    })
  )

  it.effect("may pause for no time, under the clock of tests as well [BA-10]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({
        onWriteFailure: "retain",
        retry: Schedule.recurs(2),
        write: failTimes(2)
      })

      yield* batcher.add([1])
      yield* batcher.flush
      yield* settle

      assert.deepStrictEqual(batches, [[1]])
    })
  )

  it.effect("that has a bug gives updates up, and the bug is logged [BA-10]", () => {
    const logs: Array<LogRecord> = []
    return Effect.gen(function* () {
      const lost: Array<unknown> = []
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        retry: Schedule.while(Schedule.forever, () => Effect.die("a bug")),
        write: failTimes(1),
        observer: { onLost: (updates, reason) => Effect.sync(() => lost.push([updates, reason])) }
      })
      yield* batcher.add([1])

      assert.strictEqual((yield* batcher.flush).lost, 1)
      yield* settle
      // the failed write gave it up, not the bug
      assert.deepStrictEqual(lost, [])
      const errors = logs.filter(({ level }) => level === "Error")
      assert.deepStrictEqual(
        errors.map(({ message }) => message),
        ["a rule of a batcher threw"]
      )
      assert.include(errors[0]!.cause, "a bug")
    }).pipe(collectLogs(logs))
  })

  it.effect("doubles its pauses from 100 ms to the interval by default, each a fifth shorter or longer [BA-10]", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        interval: "1 second",
        write: () =>
          TestClock.testClockWith((clock) => {
            attempts.push(clock.currentTimeMillisUnsafe())
            return Effect.fail("away")
          })
      })
      yield* batcher.add([1])

      yield* TestClock.adjust("1 minute")

      const pauses = attempts.slice(1).map((time, index) => time - attempts[index]!)
      for (const [index, pause] of pauses.entries()) {
        const longest = Math.min(1_000, 1.2 * 100 * 2 ** index)
        assert.isAtMost(pause, longest + 1)
        assert.isAtLeast(pause, Math.min(1_000 / 1.2, 100 * 2 ** index) * 0.8 - 1)
      }
      assert.isAbove(pauses.length, 50)
      assert.isAbove(new Set(pauses).size, 10)
      yield* batcher.closeNow
    })
  )

  it.effect("never pauses longer than 30 seconds by default, also without an interval [BA-10]", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const { batcher } = yield* start({
        onWriteFailure: "retain",
        interval: "Infinity",
        maxBatchSize: 1,
        write: () =>
          TestClock.testClockWith((clock) => {
            attempts.push(clock.currentTimeMillisUnsafe())
            return Effect.fail("away")
          })
      })
      yield* batcher.add([1])

      yield* TestClock.adjust("1 hours")

      const pauses = attempts.slice(1).map((time, index) => time - attempts[index]!)
      assert.isAtMost(Math.max(...pauses), 30_000)
      assert.isAbove(pauses.length, 100)
      yield* batcher.closeNow
    })
  )
})

describe("a batcher", () => {
  it.effect("writes more at once when more than a batch is waiting [BA-11]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({ maxBatchSize: 2, maxBacklogBatchSize: 6, queueCapacity: 20 })
      yield* batcher.pause
      yield* batcher.add(numbers(1, 9))

      yield* batcher.resume
      yield* batcher.flush

      assert.deepStrictEqual(batches, [numbers(1, 6), numbers(7, 9)])
    })
  )

  it.effect("writes an update at the latest maxAge after it was accepted [BA-12]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({ interval: "1 minute", maxAge: "2 seconds" })
      yield* TestClock.adjust("7 seconds")
      yield* batcher.add([1])
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(batches, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(batches, [[1]])

      yield* TestClock.adjust("500 millis")
      yield* batcher.add([2])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(batches, [[1], [2]])
    })
  )

  it.effect("ticks by times of no whole milliseconds, also with a clock that is set to a date", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2031, 4, 1))
      const third = Duration.seconds(1 / 3)
      for (const times of [{ interval: third }, { interval: "Infinity", maxAge: third }] as const) {
        const { batcher, batches } = yield* start(times)
        for (let second = 1; second <= 5; second++) {
          yield* batcher.add([second])
          yield* TestClock.adjust("1 second")
        }

        assert.deepStrictEqual(batches, [[1], [2], [3], [4], [5]])
      }
    })
  )

  it.effect("keeps to maxAge without an interval, and waits for a full batch without either [BA-12]", () =>
    Effect.gen(function* () {
      const aged = yield* start({ interval: "Infinity", maxAge: "2 seconds" })
      for (const number of [1, 2]) {
        yield* aged.batcher.add([number])
        yield* TestClock.adjust("1999 millis")
        assert.strictEqual(aged.batches.length, number - 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(aged.batches.length, number)
        yield* TestClock.adjust("1 hour")
      }

      const { batcher, batches } = yield* start({ interval: "Infinity", maxBatchSize: 2 })
      yield* batcher.add([1])
      yield* TestClock.adjust("365 days")
      assert.deepStrictEqual(batches, [])
      yield* batcher.add([2])
      yield* settle
      assert.deepStrictEqual(batches, [[1, 2]])
    })
  )

  it.effect("keeps to maxAge after a write and after a pause [BA-12]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({
        interval: "1 minute",
        maxAge: "10 seconds",
        maxBatchSize: 2,
        write: () => Effect.sleep("3 seconds")
      })
      yield* batcher.add([1])
      yield* TestClock.adjust("8 seconds")
      yield* batcher.add([2])
      yield* TestClock.adjust("1 second")
      yield* batcher.add([3])
      yield* TestClock.adjust("12999 millis")
      assert.deepStrictEqual(batches, [[1, 2]])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(batches, [[1, 2], [3]])

      yield* batcher.pause
      yield* batcher.add([4])
      yield* TestClock.adjust("15 seconds")
      yield* batcher.resume
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(batches, [[1, 2], [3], [4]])
    })
  )

  it.effect("starts no write while it is paused, and writes what is held when it closes [BA-13]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { batcher, batches } = yield* Scope.provide(start({ maxBatchSize: 2 }), scope)
      yield* batcher.pause
      yield* batcher.add(numbers(1, 5))
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(batches, [])
      assert.isUndefined(flushing.pollUnsafe())

      yield* Scope.close(scope, Exit.void)

      assert.deepStrictEqual(batches.flat(), numbers(1, 5))
      assert.strictEqual((yield* Fiber.join(flushing)).outcome, "completed")
    })
  )

  it.effect("cannot be paused while it closes [BA-13]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const gate = yield* Deferred.make<void>()
      const { batcher, batches } = yield* Scope.provide(
        start({ maxBatchSize: 1, write: () => Deferred.await(gate) }),
        scope
      )
      yield* batcher.add(numbers(1, 3))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* settle
      yield* batcher.pause
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)

      assert.deepStrictEqual(batches.flat(), numbers(1, 3))
    })
  )

  it.effect("takes a stream no faster than it has room [BA-14]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({
        maxBatchSize: 5,
        queueCapacity: 5,
        write: () => Effect.sleep("10 millis")
      })
      const feeding = yield* Effect.forkChild(Stream.run(Stream.range(1, 100), Batcher.sink(batcher)))

      yield* TestClock.adjust("1 second")

      yield* Fiber.join(feeding)
      yield* Effect.forkChild(batcher.flush)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(batches.flat(), numbers(1, 100))
      assert.strictEqual((yield* batcher.accounting).dropped.full, 0)
    })
  )

  it.effect("closes at once when told to, and hands over the rest [BA-15]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({ maxBatchSize: 2, write: () => Effect.never })
      yield* batcher.add(numbers(1, 5))
      yield* settle
      const waiting = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([6])), { startImmediately: true })

      assert.deepStrictEqual(yield* batcher.closeNow, numbers(1, 6))
      const error = yield* Fiber.join(waiting)
      assert.isTrue(error._tag === "Lost" && error.reason === "shutdown")
      assert.strictEqual((yield* batcher.accounting).lost.shutdown, 6)
    })
  )

  it.effect("takes nothing for written that a store says too late [BA-15]", () =>
    Effect.gen(function* () {
      const told: Array<() => void> = []
      const { batcher } = yield* start({
        maxBatchSize: 4,
        isRejection: () => true,
        write: (batch, _, onStored) => {
          told.push(onStored)
          return batch.length > 2 ? Effect.fail("bad") : Effect.never
        }
      })
      yield* batcher.add(numbers(1, 4))
      yield* settle

      assert.deepStrictEqual(yield* batcher.closeNow, numbers(1, 4))
      for (const tell of told) tell()

      const { lost, written } = yield* batcher.accounting
      assert.deepStrictEqual([written, lost.shutdown], [0, 4])
    })
  )
})

describe("maxPendingPerSource", () => {
  it.effect("bounds the updates of a source that an accumulator with keys has", () =>
    Effect.gen(function* () {
      const accumulator = Accumulator.keyed<number, number>({
        key: (number) => number,
        merge: (_, newer) => newer,
        source: (number) => number % 2
      }) as Accumulator.Accumulator<unknown, number>
      const { batcher, batches } = yield* start({ accumulator, maxPendingPerSource: 2 })

      assert.deepStrictEqual(yield* Effect.forEach([[1, 3], [5], [3], [2]], batcher.add), [0, 1, 0, 0])
      yield* batcher.flush
      assert.strictEqual(yield* batcher.add([5]), 0)
      yield* batcher.flush
      assert.deepStrictEqual(batches, [[1, 3, 2], [5]])
    })
  )
})
