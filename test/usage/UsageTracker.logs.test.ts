/** The records of a usage tracker. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { failing, hanging, inTurn, minute, start, well, workspace } from "../support/usageTracker.ts"

describe("the logs of a UsageTracker", () => {
  it.effect("logs the time of a success, a tick without usage, and its end [UT-24]", () =>
    Effect.gen(function* () {
      const { close, debugLogs, logs, tracker } = yield* start()
      yield* minute
      assert.deepStrictEqual(debugLogs(), ["no workspace was used"])
      yield* tracker.add(workspace(1))
      yield* minute
      assert.deepInclude(logs()[0], {
        level: "Info",
        message: "last use of workspaces written",
        annotations: { workspaces: 1, now: "1970-01-01T00:02:00.000Z" }
      })

      yield* close

      assert.strictEqual(debugLogs().at(-1), "usage tracker stopped")
    })
  )

  it.effect("drops a use after its end, which only the debug log mentions", () =>
    Effect.gen(function* () {
      const { close, ids, logs, tracker } = yield* start()
      yield* close

      const dropped: Array<LogRecord> = []
      yield* collectLogs(dropped)(tracker.add(workspace(1)))

      assert.deepStrictEqual(ids(), [])
      assert.deepStrictEqual(logs(), [])
      assert.deepStrictEqual(dropped, [
        { level: "Debug", message: "use of a workspace dropped", annotations: { workspaceId: workspace(1) } }
      ])
    })
  )

  it.effect("writes at the interval that it is given, and logs what and why it could not write", () =>
    Effect.gen(function* () {
      const { calls, logs, tracker } = yield* start(failing, { interval: "7 seconds" })
      yield* tracker.add(workspace(1))
      yield* tracker.add(workspace(2))
      yield* TestClock.adjust("6999 millis")
      assert.deepStrictEqual(calls, [])
      yield* TestClock.adjust("1 millis")

      assert.lengthOf(calls, 1)
      const [record] = logs()
      assert.deepStrictEqual(record!.annotations, { workspaces: 2, now: "1970-01-01T00:00:07.000Z", failures: 1 })
      assert.include(record!.message, "last use of workspaces not written")
      assert.include(record!.message, "as the test wants it")
    })
  )

  it.effect("warns of the first failure and counts further ones in errors, until one succeeds [UT-09, UT-10]", () =>
    Effect.gen(function* () {
      const { logs, tracker } = yield* start(inTurn(failing, failing, well, failing))
      for (let round = 0; round < 4; round++) {
        yield* tracker.add(workspace(1))
        yield* minute
      }

      assert.deepStrictEqual(
        logs().map(({ annotations, level }) => [level, annotations["failures"]]),
        [
          ["Warn", 1],
          ["Error", 2],
          ["Info", undefined],
          ["Warn", 1]
        ]
      )
    })
  )

  it.effect("logs how many workspaces closing has lost, because writes hung", () =>
    Effect.gen(function* () {
      const { close, logs, tracker } = yield* start(hanging)
      yield* tracker.add(workspace(1))
      yield* minute
      for (const number of [2, 3]) yield* tracker.add(workspace(number))
      yield* TestClock.adjust("5 seconds")
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)

      assert.deepStrictEqual(
        logs().map(({ annotations, level, message }) => [level, message.split(" {")[0], annotations["workspaces"]]),
        [
          ["Warn", "last use of workspaces not written", 1],
          ["Warn", "last use of workspaces lost at shutdown", 2]
        ]
      )
    })
  )

  it.effect("logs how many workspaces closing has lost, because a write left it no turn", () =>
    Effect.gen(function* () {
      const { close, logs, tracker } = yield* start(() => Effect.uninterruptible(Effect.sleep("1 hour")))
      yield* tracker.add(workspace(1))
      yield* minute
      for (const number of [2, 3]) yield* tracker.add(workspace(number))

      yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(logs(), [])
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(logs(), [
        { level: "Warn", message: "last use of workspaces lost at shutdown", annotations: { workspaces: 2 } }
      ])
    })
  )
})
