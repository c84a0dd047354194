/** The order of updates, what a flush covers, and what callers learn about their updates. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Queue, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

type Options = Partial<Batcher.Options<unknown, number, string, never>>

const settle = TestClock.adjust(0)

/** A batcher of numbers in the order of arrival. */
const start = Effect.fnUntraced(function* (options: Options = {}) {
  const batches: Array<ReadonlyArray<number>> = []
  const { write = () => Effect.void, ...rest } = options
  const batcher = yield* Batcher.make<unknown, number, string, never>({
    accumulator: Accumulator.fifo<number>() as Accumulator.Accumulator<unknown, number>,
    ...rest,
    write: (batch, reason) =>
      Effect.suspend(() => {
        const writing = write(batch, reason)
        return Effect.tap(writing, () => Effect.sync(() => batches.push(batch)))
      })
  })
  return { batcher, batches }
})

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

const keyedNumbers = Accumulator.keyed<number, number>({
  key: (number) => number,
  merge: (_, newer) => newer
}) as Accumulator.Accumulator<unknown, number>

const failTimes = (failures: number) => () => Effect.suspend(() => (failures-- > 0 ? Effect.fail("away") : Effect.void))

describe("the order of updates", () => {
  for (const [name, accumulator] of [
    ["fifo", Accumulator.fifo<number>() as Accumulator.Accumulator<unknown, number>],
    ["keyed", keyedNumbers]
  ] as const) {
    it.effect(`survives a failed write, with ${name} [BA-01]`, () =>
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

    it.effect(`survives a limit of bytes, with ${name} [BA-01]`, () =>
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
  it.effect("returns when all that was accepted before it is written, whatever is added meanwhile [BA-03]", () =>
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

  it.effect("says what became of the updates [BA-04]", () =>
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

describe("callers", () => {
  it.effect("learn which updates were dropped, and why [BA-07]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        accumulator: keyedNumbers,
        maxBatchSize: 2,
        maxPending: 4,
        queueCapacity: 1,
        write: () => Effect.never
      })
      yield* batcher.add([1, 2])
      yield* settle
      yield* batcher.add([3, 4, 5])

      const full = yield* batcher.tryAdd([9, 3, 8])
      yield* batcher.closeNow
      const closed = yield* batcher.tryAdd([1])

      assert.deepStrictEqual(full, { accepted: 1, dropped: [9, 8], reason: "full" })
      assert.deepStrictEqual(closed, { accepted: 0, dropped: [1], reason: "closed" })
    })
  )

  it.effect("wait for room with offer, in order, until interrupted or closed [BA-08]", () =>
    Effect.gen(function* () {
      const permits = yield* Queue.unbounded<void>()
      const { batcher, batches } = yield* start({
        maxBatchSize: 2,
        queueCapacity: 2,
        write: () => Queue.take(permits)
      })
      yield* batcher.add([1, 2])
      yield* settle
      yield* batcher.offer([3, 4])
      const [five, six, seven] = yield* Effect.forEach([5, 6, 7], (number) =>
        Effect.forkChild(Effect.exit(batcher.offer([number])), { startImmediately: true })
      )
      yield* settle
      assert.deepStrictEqual([five!.pollUnsafe(), six!.pollUnsafe()], [undefined, undefined])
      yield* Fiber.interrupt(six!)
      yield* Queue.offer(permits, undefined)
      yield* settle
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(five!)))
      yield* Queue.offerAll(
        permits,
        Array.from({ length: 9 }, () => undefined)
      )
      yield* Fiber.join(seven!)
      yield* batcher.flush
      assert.deepStrictEqual(batches.flat(), [1, 2, 3, 4, 5, 7])

      yield* batcher.closeNow
      const refused = yield* Effect.flip(batcher.offer([8]))
      assert.deepStrictEqual([refused._tag, refused.reason, refused.updates], ["Dropped", "closed", [8]])
    })
  )

  it.effect("do not hurry a failing store by waiting for room [BA-08]", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { batcher } = yield* start({
        maxBatchSize: 2,
        queueCapacity: 2,
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (attempts++, Effect.fail("away")))
      })
      yield* Effect.forEach(numbers(1, 3), () => Effect.forkChild(Effect.forever(batcher.offer([1]))))

      yield* TestClock.adjust("10 seconds")

      assert.isAtMost(attempts, 12)
      yield* batcher.closeNow
    })
  )

  it.effect("wait until their updates, or what they merged into, are written [BA-09]", () =>
    Effect.gen(function* () {
      const merged: Array<string> = []
      const words = yield* Batcher.make<Map<string, string>, string, string, never>({
        accumulator: Accumulator.keyed({ key: (word) => word[0]!, merge: (older, newer) => `${older} ${newer}` }),
        onWriteFailure: "retain",
        isRejection: (error) => error === "bad",
        write: (batch) => {
          if (batch.some((word) => word.startsWith("b"))) return Effect.fail("bad")
          return Effect.sync(() => merged.push(...batch))
        }
      })
      const waiting = yield* Effect.forEach(["a1", "a2", "b1"], (word) =>
        Effect.forkChild(Effect.exit(words.addAndWait([word])), { startImmediately: true })
      )
      yield* settle
      assert.isUndefined(waiting[0]!.pollUnsafe())
      yield* words.flush

      const [one, two, bad] = yield* Fiber.joinAll(waiting)
      assert.isTrue(Exit.isSuccess(one!) && Exit.isSuccess(two!))
      assert.deepStrictEqual(merged, ["a1 a2"])
      const error = Exit.isFailure(bad!) ? Cause.squash(bad!.cause) : undefined
      assert.isTrue(error instanceof Batcher.Rejected && error.error === "bad" && error.updates[0] === "b1")
    })
  )

  it.effect("learn of losses and drops, each of equal updates for itself [BA-09]", () =>
    Effect.gen(function* () {
      let calls = 0
      const { batcher } = yield* start({
        maxBatchSize: 1,
        queueCapacity: 2,
        maxPending: 1,
        write: () => Effect.suspend(() => (++calls === 2 ? Effect.fail("away") : Effect.void))
      })
      // the first 7 is nobody's: that it is written must not acknowledge the second one
      yield* batcher.add([7])
      const second = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([7])), { startImmediately: true })
      yield* settle

      const lost = yield* Fiber.join(second)
      assert.isTrue(lost._tag === "Lost" && lost.reason === "write_failed" && lost.updates[0] === 7)

      yield* batcher.closeNow
      const dropped = yield* Effect.flip(batcher.addAndWait([1]))
      assert.isTrue(dropped._tag === "Dropped" && dropped.reason === "closed")
    })
  )

  it.effect("are acknowledged after a failure that was tried again [BA-09]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({ onWriteFailure: "retain", write: failTimes(2) })
      const waiting = yield* Effect.forkChild(batcher.offerAndWait([1, 2]), { startImmediately: true })

      yield* TestClock.adjust("10 seconds")

      yield* Fiber.join(waiting)
      assert.deepStrictEqual(batches, [[1, 2]])
    })
  )

  it.effect("cannot wait for a batcher within its own write [BA-06]", () =>
    Effect.gen(function* () {
      const errors: Array<string> = []
      const inside: { readonly batcher: Batcher.Batcher<number> } = yield* start({
        write: () =>
          Effect.suspend(() =>
            Effect.map(Effect.flip(inside.batcher.addAndWait([2])), ({ message }) => void errors.push(message))
          ).pipe(Effect.ignore)
      })
      yield* inside.batcher.add([1])
      yield* inside.batcher.flush

      assert.match(errors[0]!, /must not wait for the same batcher/)
    })
  )
})

describe("the retry policy", () => {
  it.effect("is the caller's schedule; what is given up is handed over [BA-10]", () =>
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
})
