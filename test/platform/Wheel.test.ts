/** Periodic tasks of many owners, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Wheel from "../../src/platform/Wheel.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

/** A wheel that turns every ten seconds; `runs` has the time of each run in seconds. */
const start = Effect.gen(function* () {
  const logs: Array<LogRecord> = []
  const wheel = yield* Wheel.make("10 seconds").pipe(collectLogs(logs))
  const add = Effect.fnUntraced(function* (task: Effect.Effect<void> = Effect.void) {
    const runs: Array<number> = []
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const noted = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      runs.push(now / 1e3)
      return task
    })
    const added = yield* Scope.provide(
      wheel.add(() => noted),
      scope
    )
    return { runs, runNow: Effect.sync(() => added.runNowUnsafe()), end: Scope.close(scope, Exit.void) }
  })
  return { add, logs }
})

describe("Wheel", () => {
  it.effect("runs each task once per interval, counted from when it was added", () =>
    Effect.gen(function* () {
      const { add } = yield* start
      const first = yield* add()
      yield* TestClock.adjust("4 seconds")
      const second = yield* add()

      yield* TestClock.adjust("30 seconds")

      assert.deepStrictEqual(first.runs, [10, 20, 30])
      assert.deepStrictEqual(second.runs, [14, 24, 34])
    })
  )

  it.effect("runs tasks side by side, and no task a second time while it runs", () =>
    Effect.gen(function* () {
      const { add } = yield* start
      const slow = yield* add(Effect.sleep("15 seconds"))
      const fast = yield* add()

      yield* TestClock.adjust("40 seconds")

      assert.deepStrictEqual(fast.runs, [10, 20, 30, 40])
      assert.deepStrictEqual(slow.runs, [10, 30])
    })
  )

  it.effect("runs a task now when asked, and once more if it was running", () =>
    Effect.gen(function* () {
      const { add } = yield* start
      const { runNow, runs } = yield* add(Effect.sleep("2 seconds"))

      yield* runNow
      yield* Effect.andThen(runNow, runNow)
      yield* TestClock.adjust("9 seconds")

      assert.deepStrictEqual(runs, [0, 2])
    })
  )

  it.effect("ends a task with its scope, also while it runs", () =>
    Effect.gen(function* () {
      const { add } = yield* start
      const interrupted = yield* Deferred.make<void>()
      const { end, runs } = yield* add(Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
      yield* TestClock.adjust("10 seconds")

      yield* end
      yield* Deferred.await(interrupted)
      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(runs, [10])
    })
  )

  it.effect("logs a task that dies, and runs it again", () =>
    Effect.gen(function* () {
      const { add, logs } = yield* start
      const { runs } = yield* add(Effect.die(new Error("broken")))

      yield* TestClock.adjust("20 seconds")

      assert.deepStrictEqual(runs, [10, 20])
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message.split(" {")[0]]),
        [
          ["Error", "a periodic task died"],
          ["Error", "a periodic task died"]
        ]
      )
    })
  )

  it.effect("forks nothing for a visit that returns no effect, and logs one that throws", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const wheel = yield* Wheel.make("10 seconds").pipe(collectLogs(logs))
      const visits: Array<string> = []
      yield* wheel.add(() => void visits.push("plain"))
      yield* wheel.add(() => {
        visits.push("broken")
        throw new Error("broken")
      })
      const task = yield* wheel.add(() => void visits.push("asked for"))

      task.runNowUnsafe()
      assert.deepStrictEqual(visits, ["asked for"])
      yield* TestClock.adjust("20 seconds")

      const turn = ["plain", "broken", "asked for"]
      assert.deepStrictEqual(visits, ["asked for", ...turn, ...turn])
      assert.lengthOf(logs, 2)
    })
  )

  it.effect("makes visits at about the same time in one turn, early by a hundredth of the interval", () =>
    Effect.gen(function* () {
      const { add } = yield* start
      const first = yield* add()
      yield* TestClock.adjust("99 millis")
      const near = yield* add()
      yield* TestClock.adjust("2 millis")
      const far = yield* add()

      yield* TestClock.adjust("19999 millis")

      assert.deepStrictEqual(first.runs, [10, 20])
      assert.deepStrictEqual(near.runs, [10, 20])
      assert.deepStrictEqual(far.runs, [10.101])
    })
  )

  it.effect("visits once per interval, also if that is no whole number of milliseconds", () =>
    Effect.gen(function* () {
      const wheel = yield* Wheel.make(Duration.millis(100 / 3))
      let visits = 0
      yield* wheel.add(() => void visits++)

      yield* TestClock.adjust("1 second")

      assert.approximately(visits, 30, 1)
    })
  )

  it.effect("leaves out the turns that were missed in a stall", () =>
    Effect.gen(function* () {
      const own = yield* Clock.Clock
      let stalled = 0n
      const clock: Clock.Clock = Object.assign(Object.create(own), {
        monotonicTimeNanosUnsafe: () => own.monotonicTimeNanosUnsafe() + stalled
      })
      const { add } = yield* Effect.provideService(start, Clock.Clock, clock)
      const { runs } = yield* add()
      yield* TestClock.adjust("5 seconds")
      stalled = 60_000_000_000n

      yield* TestClock.adjust("20 seconds")

      assert.deepStrictEqual(runs, [10, 20])
    })
  )
})
