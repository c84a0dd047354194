/** The times of receipt of a connection around stalls and replacements, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as ReceiptTime from "../../../src/agentapi/session/ReceiptTime.ts"
import { StallDetector } from "../../../src/platform/StallDetector.ts"

/** A connection whose pings the test answers, in a process that the test stalls. */
const start = Effect.gen(function* () {
  const listeners = new Set<(lastRan: DateTime.Utc) => void>()
  const pings = yield* Queue.unbounded<Deferred.Deferred<void>>()
  let check = () => {}
  const roundTrip = Effect.flatMap(Deferred.make<void>(), (pong) =>
    Effect.andThen(Queue.offer(pings, pong), Deferred.await(pong))
  )
  const { fence, now } = yield* ReceiptTime.make(roundTrip).pipe(
    Effect.provideService(StallDetector, {
      checkUnsafe: () => check(),
      onStallUnsafe: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      }
    })
  )
  return {
    fence,
    now: Effect.map(now, DateTime.toEpochMillis),
    /** Answers the next ping. */
    answer: Effect.andThen(
      Effect.flatMap(Queue.take(pings), (pong) => Deferred.succeed(pong, undefined)),
      TestClock.adjust(0)
    ),
    /** The next report is read right after a stall that began at this time. */
    stallAt: (millis: number) => {
      check = () => {
        check = () => {}
        for (const listener of listeners) listener(DateTime.makeUnsafe(millis))
      }
    }
  }
})

describe("ReceiptTime", () => {
  it.effect("is the time before a stall until a ping was answered since [FT-10]", () =>
    Effect.gen(function* () {
      const { answer, now, stallAt } = yield* start
      yield* TestClock.setTime(1_000)
      assert.strictEqual(yield* now, 1_000)

      yield* TestClock.setTime(31_000)
      stallAt(11_000)
      assert.deepStrictEqual([yield* now, yield* now], [11_000, 11_000])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* now, 11_000)
      yield* answer

      assert.strictEqual(yield* now, 91_000)
    })
  )

  it.effect("is never before that of an earlier report [FT-10]", () =>
    Effect.gen(function* () {
      const { now, stallAt } = yield* start
      yield* TestClock.setTime(12_000)
      assert.strictEqual(yield* now, 12_000)

      yield* TestClock.setTime(31_000)
      stallAt(11_000)

      assert.strictEqual(yield* now, 12_000)
    })
  )

  it.effect("is that of the last report once the agent has connected again [FT-10]", () =>
    Effect.gen(function* () {
      const { answer, fence, now } = yield* start
      yield* TestClock.setTime(5_000)
      assert.strictEqual(yield* now, 5_000)

      yield* TestClock.setTime(8_000)
      yield* fence
      assert.strictEqual(yield* now, 5_000)
      yield* answer

      assert.strictEqual(yield* now, 8_000)
    })
  )

  it.effect("stays fenced by a second stall that an older ping does not clear [FT-10]", () =>
    Effect.gen(function* () {
      const { answer, fence, now, stallAt } = yield* start
      yield* TestClock.setTime(5_000)
      yield* fence
      yield* TestClock.setTime(30_000)
      stallAt(9_000)
      const before = yield* now

      yield* answer
      assert.strictEqual(yield* now, before)
      yield* answer

      assert.strictEqual(yield* now, 30_000)
    })
  )
})
