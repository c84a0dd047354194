/** Items that plain functions add, and the runs that take them. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Collector from "../../src/platform/Collector.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

describe("Collector", () => {
  it.effect("hands over what waits, in order, and what comes meanwhile afterwards", () =>
    Effect.gen(function* () {
      const runs: Array<ReadonlyArray<string>> = []
      const gate = yield* Deferred.make<void>()
      const { addUnsafe, removeUnsafe } = yield* Collector.make<string>((items) => {
        runs.push(items)
        return Deferred.await(gate)
      })

      for (const item of ["a", "b", "c"]) addUnsafe(item)
      removeUnsafe("b")
      assert.deepStrictEqual(runs, [])
      yield* TestClock.adjust(0)
      for (const item of ["d", "e"]) addUnsafe(item)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(runs, [["a", "c"]])
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(runs, [
        ["a", "c"],
        ["d", "e"]
      ])
    })
  )

  it.effect("hands nothing over if all items are removed while it waits", () =>
    Effect.gen(function* () {
      let runs = 0
      const { addUnsafe, removeUnsafe } = yield* Collector.make<string>(
        () => Effect.sync(() => void runs++),
        Effect.sleep("1 second")
      )

      addUnsafe("a")
      yield* TestClock.adjust("500 millis")
      removeUnsafe("a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(runs, 0)
      addUnsafe("b")
      yield* TestClock.adjust("1 second")

      assert.strictEqual(runs, 1)
    })
  )

  it.effect("logs a run that dies, and goes on", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const taken: Array<string> = []
      const { addUnsafe } = yield* Collector.make<string>((items) => {
        taken.push(...items)
        throw new Error("broken")
      }).pipe(collectLogs(logs))

      addUnsafe("a")
      yield* TestClock.adjust(0)
      addUnsafe("b")
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(taken, ["a", "b"])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Error"]
      )
    })
  )
})
