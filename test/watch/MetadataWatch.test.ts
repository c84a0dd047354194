/** One watcher of agent 1, under the test clock, over a store and a subscription that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { zeroTime } from "../../src/domain/Metadata.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { agent } from "../support/metadataBatcher.ts"
import { recordSpans } from "../support/spans.ts"
import { change, chunk, failing, makeWorld, metadata, seconds, values, watch } from "../support/watch.ts"

describe("MetadataWatch", () => {
  it.effect("subscribes to the channel of changed agents before it reads [WA-03]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      const fiber = yield* Effect.forkScoped(Effect.scoped(open), { startImmediately: true })

      yield* seconds(1)
      assert.deepStrictEqual([world.channels, world.reads], [[MetadataBatcher.channel], 0])

      yield* world.offer(PubSub.Resync())
      assert.strictEqual(world.reads, 1)
      assert.isDefined(fiber.pollUnsafe())
    })
  )

  it.effect("sends a change that falls between the subscription and the end of the first read [WA-03]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      const events: Array<WatchEvent> = []
      const gate = yield* Deferred.make<void>()
      world.reading = Deferred.await(gate)
      yield* open.pipe(
        Effect.flatMap(Stream.runForEach((event) => Effect.sync(() => events.push(event)))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* world.offer(PubSub.Resync())
      yield* change(world, "2")
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(events.map(values), [{ cpu: "2" }])
    })
  )

  it.effect("sends the whole list at once [WA-04]", () =>
    Effect.gen(function* () {
      const { events } = yield* watch

      assert.deepStrictEqual(events.map(values), [{ cpu: "1" }])
    })
  )

  it.effect("does not begin when the first read fails [WA-05]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      world.reading = failing("unavailable")
      const fiber = yield* Effect.forkScoped(Effect.flip(Effect.scoped(open)), { startImmediately: true })
      yield* world.offer(PubSub.Resync())

      const error = yield* Fiber.join(fiber)
      assert.deepInclude(error, { _tag: "MetadataUnavailable", message: "metadata cannot be read" })
      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("does not begin when it cannot subscribe [WA-06]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      yield* world.fail

      const error = yield* Effect.flip(Effect.scoped(open))
      assert.deepInclude(error, { _tag: "MetadataUnavailable", message: "metadata changes cannot be subscribed to" })
      assert.deepStrictEqual([world.subscribed, world.reads], [0, 0])
    })
  )

  it.effect("reads nothing for a message that does not name its agent [WA-07]", () =>
    Effect.gen(function* () {
      const { world } = yield* watch

      yield* world.announce(chunk(2, 3, 4))
      yield* seconds(20)

      assert.strictEqual(world.reads, 1)
    })
  )

  it.effect("reads when its agent is named first, in the middle, last, or in a second message [WA-08]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch
      const messages = [
        [1, 2, 3],
        [2, 1, 3],
        [2, 3, 1]
      ].map((agents) => [chunk(...agents)])
      const crowd = AgentIdChunks.encode([...Array.from({ length: 363 }, (_, number) => agent(number + 10)), agent(1)])
      let expected = 1
      for (const payloads of [...messages, crowd]) {
        world.rows = [metadata("cpu", String(++expected))]
        yield* Effect.forEach(payloads, world.announce)
        yield* seconds(1)
        assert.deepStrictEqual(values(events.at(-1)), { cpu: String(expected) })
      }
      assert.strictEqual(world.reads, 5)
    })
  )

  it.effect("lives through payloads that are damaged, and honours the ids in them [WA-09]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch
      yield* world.announce("not a chunk")
      yield* world.announce("")
      yield* seconds(1)
      assert.strictEqual(world.reads, 1)

      world.rows = [metadata("cpu", "2")]
      yield* world.announce(`${"*".repeat(22)}${chunk(1)}rest`)
      yield* seconds(1)

      assert.deepStrictEqual(values(events.at(-1)), { cpu: "2" })
    })
  )

  it.effect("reads once for a hundred changes, and once more for those during the read [WA-10]", () =>
    Effect.gen(function* () {
      const { world } = yield* watch
      const gate = yield* Deferred.make<void>()
      world.reading = Deferred.await(gate)

      for (let count = 0; count < 100; count++) yield* world.announce(chunk(1))
      yield* seconds(1)
      for (let count = 0; count < 100; count++) yield* world.announce(chunk(1))
      yield* seconds(1)
      yield* Deferred.succeed(gate, undefined)
      yield* seconds(10)

      assert.strictEqual(world.reads, 3)
    })
  )

  it.effect("reads once ahead of a client that does not take what was sent", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      yield* open.pipe(
        Effect.flatMap(Stream.runForEach(() => Effect.never)),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* world.offer(PubSub.Resync())

      for (let second = 0; second < 60; second++) {
        yield* world.announce(chunk(1))
        yield* seconds(1)
      }

      assert.strictEqual(world.reads, 2)
    })
  )

  it.effect("replaces the keys that a read returns and keeps the others [WA-14]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch
      world.rows = [metadata("disk", "7")]
      yield* world.announce(chunk(1))
      yield* seconds(1)

      assert.deepStrictEqual(values(events.at(-1)), { cpu: "1", disk: "7" })
    })
  )

  it.effect("ends with an error event when a later read fails [WA-15, WA-16]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const { events, fiber, world } = yield* collectLogs(logs)(watch)
      world.reading = failing("unavailable")
      yield* world.announce(chunk(1))
      yield* seconds(1)

      assert.deepStrictEqual(events.at(-1), {
        type: "error",
        data: {
          message: "metadata cannot be read",
          detail: "cannot read metadata"
        }
      })
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
      assert.strictEqual(world.subscribed, 0)
      assert.deepStrictEqual(
        logs.map(({ annotations, level, message }) => [level, message.split(" {")[0], annotations["agentId"]]),
        [
          ["Error", "metadata of a watched agent cannot be read", agent(1)],
          ["Debug", "metadata watcher left", agent(1)]
        ]
      )
    })
  )

  it.effect("ends without a word when a later read is cancelled [WA-15, WA-16]", () =>
    Effect.gen(function* () {
      const { events, fiber, world } = yield* watch
      world.reading = failing("cancelled")
      yield* world.announce(chunk(1))
      yield* seconds(1)

      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["data"]
      )
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("shares the read of watchers that are due together, and goes on when one of them leaves", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      const events: Array<unknown> = []
      const begin = Effect.forkScoped(
        Effect.scoped(
          Effect.flatMap(
            open,
            Stream.runForEach((event) => Effect.sync(() => events.push(values(event))))
          )
        ),
        { startImmediately: true }
      )
      const watchers = [yield* begin, yield* begin, yield* begin, yield* begin]
      yield* world.offer(PubSub.Resync())
      const before = world.reads
      events.length = 0

      yield* change(world, "2")
      yield* seconds(1)
      yield* Fiber.interrupt(watchers.at(-1)!)
      yield* TestClock.adjust("50 millis")

      // the first one reads at once, the others wait for each other
      assert.strictEqual(world.reads, before + 2)
      assert.deepStrictEqual(events, [{ cpu: "2" }, { cpu: "2" }, { cpu: "2" }])
    })
  )

  it.effect("ends with its subscription [WA-16]", () =>
    Effect.gen(function* () {
      const { fiber, world } = yield* watch
      yield* world.fail
      yield* TestClock.adjust(0)

      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("unsubscribes at once when its client leaves [WA-17]", () =>
    Effect.gen(function* () {
      const { fiber, world } = yield* watch
      assert.strictEqual(world.subscribed, 1)

      yield* Fiber.interrupt(fiber)

      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("sorts by display order, then by key [WA-18]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      world.rows = [
        metadata("b", "", { displayOrder: 2 }),
        metadata("z", "", { displayOrder: 1 }),
        metadata("a", "", { displayOrder: 2 }),
        metadata("m", "", { displayOrder: -1 })
      ]
      yield* world.offer(PubSub.Resync())

      const [event] = yield* Effect.scoped(Effect.flatMap(open, (events) => Stream.runCollect(Stream.take(events, 1))))

      assert.deepStrictEqual(Object.keys(values(event)!), ["m", "z", "a", "b"])
    })
  )

  it.effect("sends an empty list, not nothing, for an agent without metadata [WA-19]", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      world.rows = []
      yield* world.offer(PubSub.Resync())

      const events = yield* Effect.scoped(Effect.flatMap(open, (events) => Stream.runCollect(Stream.take(events, 1))))

      assert.deepStrictEqual(events, [{ type: "data", data: [] }])
    })
  )

  it.effect("shows the age of a value in whole seconds, and keys that were never collected [WA-20]", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(12_999)
      const { open, world } = yield* makeWorld
      world.rows = [
        metadata("cpu", "1", { collectedAt: DateTime.makeUnsafe(2_000), error: "slow" }),
        metadata("never", "", { collectedAt: zeroTime })
      ]
      yield* world.offer(PubSub.Resync())

      const [event] = yield* Effect.scoped(Effect.flatMap(open, (events) => Stream.runCollect(Stream.take(events, 1))))

      assert.deepStrictEqual(event?.type === "data" ? event.data : event, [
        {
          result: { collected_at: "1970-01-01T00:00:02.000Z", age: 10, value: "1", error: "slow" },
          description: { display_name: "CPU", key: "cpu", script: "measure cpu", interval: 10, timeout: 2 }
        },
        {
          result: { collected_at: "0001-01-01T00:00:00.000Z", age: 62_135_596_812, value: "", error: "" },
          description: { display_name: "NEVER", key: "never", script: "measure never", interval: 10, timeout: 2 }
        }
      ])
    })
  )

  it.effect("has spans for its beginning, for reads of all watchers, and for a read of one list", () => {
    const { names, tracer } = recordSpans()
    return Effect.gen(function* () {
      const { world } = yield* watch
      assert.deepStrictEqual([...names], ["MetadataWatch.open"])
      yield* change(world, "2")
      yield* seconds(1)
      assert.deepStrictEqual([...names], ["MetadataWatch.open", "MetadataWatch.read"])

      names.clear()
      const [view] = yield* (yield* makeWorld).read
      assert.strictEqual(view!.result.value, "1")
      assert.deepStrictEqual([...names], ["MetadataWatch.read"])
    }).pipe(Effect.withTracer(tracer))
  })

  it.effect("reads again when messages may have been lost [WA-21]", () =>
    Effect.gen(function* () {
      const { events, world } = yield* watch
      world.rows = [metadata("cpu", "2")]

      yield* world.offer(PubSub.Resync())
      yield* seconds(1)

      assert.deepStrictEqual(values(events.at(-1)), { cpu: "2" })
    })
  )
})
