/** Readers of connections, with turns of the event loop and time that the test makes. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, ErrorReporter, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as FairReader from "../../src/platform/FairReader.ts"

/** A fair reader; `turn` is the next turn of the event loop, and `order` has the readers as they ran. */
const start = (saturation?: () => number) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    let tasks: Array<() => void> = []
    let millis = 0
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: () => false,
      makeDispatcher: () => ({ scheduleTask: (task) => void tasks.push(task), flush: () => {} })
    }
    const reader = yield* FairReader.make(saturation).pipe(
      Effect.provideService(Clock.Clock, {
        ...clock,
        monotonicTimeNanosUnsafe: () => BigInt(Math.round(millis * 1e6))
      }),
      Effect.provideService(Scheduler.Scheduler, scheduler)
    )
    const order: Array<string> = []
    /** A reader that takes so many milliseconds each time, so many times. */
    const connection = (name: string, took = 0, times = 1) => {
      let left = times
      const read = () => {
        order.push(name)
        millis += took
        if (--left > 0) reader.addUnsafe(read)
      }
      return read
    }
    const turn = () => {
      const due = tasks
      tasks = []
      for (const task of due) task()
      return order.splice(0)
    }
    return { add: reader.addUnsafe, connection, order, turn, scheduled: () => tasks.length }
  })

describe("FairReader", () => {
  it.effect("runs readers in the order in which they were added, in a later turn", () =>
    Effect.gen(function* () {
      const { add, connection, order, turn } = yield* start()

      for (const name of ["a", "b", "c"]) add(connection(name))

      assert.deepStrictEqual(order, [])
      assert.deepStrictEqual(turn(), ["a", "b", "c"])
      assert.deepStrictEqual(turn(), [])
    })
  )

  it.effect("adds a reader that is waiting no second time, and takes one turn for all", () =>
    Effect.gen(function* () {
      const { add, connection, scheduled, turn } = yield* start()
      const [a, b] = [connection("a"), connection("b")]

      for (const read of [a, b, a]) add(read)

      assert.strictEqual(scheduled(), 1)
      assert.deepStrictEqual(turn(), ["a", "b"])
      assert.strictEqual(scheduled(), 0)
      add(a)
      assert.deepStrictEqual(turn(), ["a"])
    })
  )

  it.effect("leaves the readers beyond the budget of a turn to the next turn [SL-06]", () =>
    Effect.gen(function* () {
      const { add, connection, turn } = yield* start()

      for (const name of ["a", "b", "c", "d"]) add(connection(name, FairReader.budgetMillis / 2))

      assert.deepStrictEqual(turn(), ["a", "b"])
      assert.deepStrictEqual(turn(), ["c", "d"])
      assert.deepStrictEqual(turn(), [])
    })
  )

  it.effect("runs a reader that has more behind all that are waiting", () =>
    Effect.gen(function* () {
      const { add, connection, turn } = yield* start()

      add(connection("busy", (FairReader.budgetMillis * 2) / 5, 3))
      for (const name of ["a", "b"]) add(connection(name, FairReader.budgetMillis / 5))

      assert.deepStrictEqual(turn(), ["busy", "a", "b", "busy"])
      assert.deepStrictEqual(turn(), ["busy"])
    })
  )

  it.effect("shares the budget of a turn among all readers, and gives each turn a new one", () =>
    Effect.gen(function* () {
      const { add, connection, turn } = yield* start()

      add(connection("slow", FairReader.budgetMillis * 10))
      add(connection("quick"))

      assert.deepStrictEqual(turn(), ["slow"])
      assert.deepStrictEqual(turn(), ["quick"])
    })
  )

  for (const { after, saturation } of [
    { saturation: 0.75, after: FairReader.maxDelayMillis / 2 },
    { saturation: 1, after: FairReader.maxDelayMillis }
  ]) {
    it.effect(`delays each turn by ${after} ms while the receiver is full to ${saturation} [SL-07]`, () =>
      Effect.gen(function* () {
        const { add, connection, order } = yield* start(() => saturation)
        for (const name of ["a", "b"]) add(connection(name, FairReader.budgetMillis))

        yield* TestClock.adjust(after - 0.1)
        assert.deepStrictEqual(order, [])
        yield* TestClock.adjust(0.1)
        assert.deepStrictEqual(order, ["a"])
        yield* TestClock.adjust(after)

        assert.deepStrictEqual(order, ["a", "b"])
      })
    )
  }

  it.effect("delays no turn once half of its receiver is free, and none before more than half is taken [SL-07]", () =>
    Effect.gen(function* () {
      let saturation = 0.5
      const { add, connection, order, turn } = yield* start(() => saturation)
      add(connection("a"))
      assert.deepStrictEqual(turn(), ["a"])

      saturation = 0.9
      for (const name of ["b", "c"]) add(connection(name, FairReader.budgetMillis))
      assert.deepStrictEqual(turn(), [])
      saturation = 0.5
      yield* TestClock.adjust(FairReader.maxDelayMillis)

      assert.deepStrictEqual(order.splice(0), ["b"])
      assert.deepStrictEqual(turn(), ["c"])
    })
  )

  it.effect("reports a reader that throws, and runs the others", () =>
    Effect.gen(function* () {
      const defects: Array<unknown> = []
      const reporter = ErrorReporter.make(({ cause }) => void defects.push(Cause.squash(cause)))
      const { add, connection, turn } = yield* Effect.provide(start(), ErrorReporter.layer([reporter]))

      add(() => {
        throw "a bug"
      })
      add(connection("other"))

      assert.deepStrictEqual(turn(), ["other"])
      assert.deepStrictEqual(defects, ["a bug"])
    })
  )
})
