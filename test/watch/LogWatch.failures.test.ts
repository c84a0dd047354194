/** A watcher of logs whose reads or subscriptions fail. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { LogId } from "../../src/domain/AgentLog.ts"
import * as LogWatch from "../../src/watch/LogWatch.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { created, failing, makeWorld, soon, watch, watchFrom } from "../support/logWatch.ts"
import { agent } from "../support/metadataBatcher.ts"

const starting = Option.some({ ...created, state: "starting" as const })

describe("LogWatch", () => {
  it.effect("stays open while reads fail, says so once, and goes on within a second of their return [FT-60]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const { events, fiber, pages, states, world } = yield* collectLogs(logs)(watch)
      yield* soon
      world.reading = failing("unavailable")
      yield* world.log("one")
      world.lifecycle = starting
      yield* TestClock.adjust("70 seconds")
      const errors = events.filter(({ type }) => type === "error")
      assert.deepStrictEqual(errors, [
        { type: "error", data: { message: "logs cannot be read", detail: "cannot read the logs of an agent" } }
      ])
      assert.strictEqual(events.filter(({ type }) => type === "ping").length, 4)
      assert.strictEqual(logs.filter(({ level }) => level === "Error").length, 1)
      assert.deepStrictEqual(new Set(events.map(({ type }) => type)), new Set(["lifecycle", "error", "ping"]))
      assert.isUndefined(fiber.pollUnsafe())

      world.reading = Effect.void
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual([pages(), states()], [[["one"]], ["created", "starting"]])
      const again = logs.filter(({ level }) => level === "Info").map(({ message }) => message)
      assert.deepStrictEqual(again, ["logs of a watched agent can be read again"])

      // a later failure is one of its own
      world.reading = failing("unavailable")
      yield* world.log("two")
      yield* soon
      assert.strictEqual(events.filter(({ type }) => type === "error").length, 2)
    })
  )

  it.effect("logs a read that is cancelled below the level of a failure", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const { events, world } = yield* collectLogs(logs)(watch)
      yield* soon
      world.reading = failing("cancelled")
      yield* world.log("one")
      yield* soon

      assert.deepInclude(events, {
        type: "error",
        data: { message: "logs cannot be read", detail: "cannot read the logs of an agent" }
      })
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Debug"]
      )
      assert.strictEqual(logs[0]!.annotations["agentId"], agent(1))
    })
  )

  it.effect("brings lines again that were read before the rest of a reading failed [FT-60]", () =>
    Effect.gen(function* () {
      const { pages, world } = yield* watch
      yield* soon
      yield* world.store("one")
      // a ping reads the lines, and then the agent
      let reads = 0
      world.reading = Effect.suspend(() => (++reads === 2 ? failing("unavailable") : Effect.void))
      yield* TestClock.adjust("20 seconds")
      assert.isAbove(reads, 2)
      yield* world.log("two")
      yield* soon

      assert.deepStrictEqual(pages().flat(), ["one", "two"])
    })
  )

  it.effect("reads once a second while reads fail [FT-60]", () =>
    Effect.gen(function* () {
      // whether the watcher is up to date or has more lines to read
      for (const stored of [1, LogWatch.pageSize]) {
        const made = yield* makeWorld
        const { world } = made
        yield* world.store(...Array.from({ length: stored }, (_, index) => `line ${index}`))
        world.reading = Effect.suspend(() => (world.logReads <= 1 ? Effect.void : failing("cancelled")))
        yield* watchFrom(made)
        yield* soon
        const reads = world.logReads

        for (let tick = 0; tick < 100; tick++) {
          yield* world.log(`${tick}`)
          yield* TestClock.adjust("100 millis")
        }

        assert.isAtMost(world.logReads - reads, 11)
        assert.isAtLeast(world.logReads - reads, 9)
      }
    })
  )

  it.effect("cannot begin when the first read fails, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const made = yield* makeWorld
      made.world.reading = failing("unavailable")

      const error = yield* Effect.flip(Effect.scoped(made.open(agent(1), LogId.make(0))))

      assert.deepInclude(error, { _tag: "LogsUnavailable", detail: "cannot read the logs of an agent" })
      assert.strictEqual(made.world.subscribed, 0)
    })
  )

  it.effect("subscribes again when its subscription ends, and reads what it missed [FT-60]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const { pages, world } = yield* collectLogs(logs)(watch)
      yield* soon
      yield* world.endSubscription
      yield* soon
      assert.strictEqual(world.subscribed, 1)
      assert.deepStrictEqual(
        logs.map(({ annotations, level, message }) => [level, message, annotations["agentId"]]),
        [["Debug", "subscription of a log watcher ended", agent(1)]]
      )
      yield* world.log("missed")

      yield* TestClock.adjust("2 seconds")

      assert.deepStrictEqual([pages(), world.subscribed], [[["missed"]], 2])
    })
  )
})
