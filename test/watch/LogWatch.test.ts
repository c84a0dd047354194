import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Latch, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { LogId } from "../../src/domain/AgentLog.ts"
import * as LogWatch from "../../src/watch/LogWatch.ts"
import { created, failing, makeWorld, soon, watch, watchFrom } from "../support/logWatch.ts"
import { agent } from "../support/metadataBatcher.ts"
import { recordSpans } from "../support/spans.ts"
import * as WallClock from "../support/WallClock.ts"

const starting = Option.some({ ...created, state: "starting" as const })

/** Long enough for the subscriber to have heard of what was announced. */
const heard = Effect.replicateEffect(Effect.yieldNow, 5, { discard: true })

describe("LogWatch", () => {
  it.effect("brings what is there at once, in pages, and the lifecycle", () =>
    Effect.gen(function* () {
      const made = yield* makeWorld
      const lines = Array.from({ length: 2 * LogWatch.pageSize + 1 }, (_, index) => `line ${index}`)
      yield* made.world.store(...lines)

      const { page, pages, states } = yield* watchFrom(made)
      yield* Effect.replicateEffect(page, 2)

      assert.deepStrictEqual(
        pages().map(({ length }) => length),
        [LogWatch.pageSize, LogWatch.pageSize, 1]
      )
      assert.deepStrictEqual(pages().flat(), lines)
      assert.deepStrictEqual(states(), ["created"])
    })
  )

  it.effect("begins behind the line that the watcher names", () =>
    Effect.gen(function* () {
      const made = yield* makeWorld
      yield* made.world.store("one", "two", "three")

      const { pages } = yield* watchFrom(made, made.world.lines[0]!.id)

      assert.deepStrictEqual(pages(), [["two", "three"]])
    })
  )

  it.effect("brings new lines when they are announced, none twice", () =>
    Effect.gen(function* () {
      const { page, pages, world } = yield* watch
      yield* soon

      yield* world.log("one")
      yield* page
      assert.deepStrictEqual(pages(), [["one"]])

      yield* soon
      yield* world.announce
      yield* soon
      yield* world.log("two", "three")
      yield* soon
      assert.deepStrictEqual(pages(), [["one"], ["two", "three"]])
    })
  )

  it.effect("misses no line that is announced during a read [FT-26]", () =>
    Effect.gen(function* () {
      const made = yield* makeWorld
      const { world } = made
      let reads = 0
      // each read finds a line, and another one is announced before its result is there
      world.reading = Effect.suspend(() =>
        reads++ < 5 ? Effect.andThen(Effect.orDie(world.log(`while reading ${reads}`)), heard) : Effect.void
      )

      const { pages } = yield* watchFrom(made)
      for (let round = 0; round < 10; round++) yield* soon

      assert.deepStrictEqual(
        pages().flat(),
        world.lines.map(({ output }) => output)
      )
      assert.strictEqual(world.lines.length, 5)
    })
  )

  it.effect("brings the lifecycle when it has changed, and nothing for other news of the owner", () =>
    Effect.gen(function* () {
      const { states, world } = yield* watch
      yield* soon
      const { lifecycleReads: reads, logReads } = world

      world.lifecycle = starting
      yield* world.event("stats_update")
      yield* world.event("agt_lifecycle_update", agent(2))
      yield* world.noise
      yield* soon
      assert.deepStrictEqual([states(), world.lifecycleReads], [["created"], reads])

      yield* world.event("agt_lifecycle_update")
      yield* soon
      assert.deepStrictEqual(states(), ["created", "starting"])

      yield* world.event("agt_lifecycle_update")
      yield* soon
      assert.deepStrictEqual([states(), world.lifecycleReads], [["created", "starting"], reads + 2])
      assert.strictEqual(world.logReads, logReads)
    })
  )

  it.effect("misses no lifecycle that is announced during a read [FT-26]", () =>
    Effect.gen(function* () {
      const { states, world } = yield* watch
      yield* soon
      world.reading = Effect.suspend(() => {
        world.reading = Effect.void
        world.lifecycle = starting
        return Effect.andThen(Effect.orDie(world.event("agt_lifecycle_update")), heard)
      })

      yield* world.event("agt_lifecycle_update")
      for (let round = 0; round < 10; round++) yield* soon

      assert.deepStrictEqual(states(), ["created", "starting"])
    })
  )

  it.effect("pings every 15 s, and brings what nobody has announced", () =>
    Effect.gen(function* () {
      const { events, pages, states, world } = yield* watch
      const pings = () => events.filter(({ type }) => type === "ping").length
      yield* world.store("silent")
      world.lifecycle = starting

      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual([pages(), pings()], [[], 0])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(pings(), 1)
      yield* soon
      assert.deepStrictEqual([pages(), states(), pings()], [[["silent"]], ["created", "starting"], 1])

      // however much there is to say
      for (let second = 0; second < 30; second++) {
        yield* world.log("line")
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(pings(), 3)
    })
  )

  it.effect("pings every 15 s although the time of day is set forward or back", () =>
    Effect.gen(function* () {
      const { back, clock, forward } = yield* WallClock.make
      const { events } = yield* Effect.provideService(watch, Clock.Clock, clock)
      const pings = () => events.filter(({ type }) => type === "ping").length

      forward("1 hour")
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(pings(), 0)
      back("2 hours")
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(pings(), 1)
    })
  )

  it.effect("pings every 15 s, also where a sum of numbers is less than it should be", () =>
    Effect.gen(function* () {
      // 15 s later, 14 999.999999999998 ms have passed
      yield* TestClock.adjust(Duration.nanos(7_182_554_576n))
      const { events } = yield* watch

      yield* TestClock.adjust("46 seconds")

      assert.strictEqual(events.filter(({ type }) => type === "ping").length, 3)
    })
  )

  it.effect("reads again after a Resync", () =>
    Effect.gen(function* () {
      const { pages, states, world } = yield* watch
      yield* soon
      yield* world.store("lost")
      world.lifecycle = starting

      yield* world.resync
      yield* soon

      assert.deepStrictEqual([pages(), states()], [[["lost"]], ["created", "starting"]])
    })
  )

  it.effect("reads at most ten times a second, however much is announced", () =>
    Effect.gen(function* () {
      const { pages, world } = yield* watch
      yield* soon
      const before = world.logReads

      for (let tick = 0; tick < 1_000; tick++) {
        yield* world.log(`${tick}`)
        yield* TestClock.adjust("1 millis")
      }
      yield* soon

      assert.isAtMost(world.logReads - before, 11)
      assert.strictEqual(pages().flat().length, 1_000)
      assert.strictEqual(world.lifecycleReads, 2)
    })
  )

  it.effect("reads nothing while its client does not take what was sent", () =>
    Effect.gen(function* () {
      const ready = yield* Latch.make(true)
      const { pages, world } = yield* watchFrom(yield* makeWorld, 0, ready)
      yield* soon
      yield* ready.close
      yield* world.log("one")
      yield* soon
      const reads = world.logReads

      for (let tick = 0; tick < 100; tick++) {
        yield* world.log(`${tick}`)
        yield* TestClock.adjust("1 second")
      }
      assert.isAtMost(world.logReads - reads, 1)

      yield* ready.open
      yield* soon
      yield* soon
      assert.deepStrictEqual(
        pages().flat(),
        world.lines.map(({ output }) => output)
      )
    })
  )

  it.effect("ends with the agent", () =>
    Effect.gen(function* () {
      const { fiber, world } = yield* watch
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())

      world.lifecycle = Option.none()
      yield* TestClock.adjust("16 seconds")

      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("ends at once for an agent that is deleted already", () =>
    Effect.gen(function* () {
      const { open, world } = yield* makeWorld
      world.lifecycle = Option.none()

      const events = yield* Effect.scoped(Effect.flatMap(open(agent(1), LogId.make(0)), Stream.runCollect))

      assert.deepStrictEqual([events, world.subscribed], [[], 0])
    })
  )

  it.effect("is unsubscribed from both channels when it leaves", () =>
    Effect.gen(function* () {
      const { fiber, world } = yield* watch
      assert.strictEqual(world.subscribed, 2)

      yield* Fiber.interrupt(fiber)

      assert.strictEqual(world.subscribed, 0)
    })
  )

  it.effect("waits for its subscriptions before it reads", () =>
    Effect.gen(function* () {
      const made = yield* makeWorld
      const read = yield* Deferred.make<number>()
      made.world.reading = Effect.suspend(() =>
        made.world.logReads === 0 ? Effect.void : Deferred.succeed(read, made.world.subscribed)
      )

      yield* watchFrom(made)

      assert.strictEqual(yield* Deferred.await(read), 2)
    })
  )

  it.effect("has a span for its beginning, and one for a read of stored lines", () => {
    const { names, tracer } = recordSpans()
    return Effect.gen(function* () {
      const made = yield* makeWorld
      yield* watchFrom(made)
      const lines = yield* made.read(agent(1), LogId.make(0))

      assert.deepStrictEqual(yield* Stream.runCollect(lines), [])
      assert.deepStrictEqual(names, new Set(["LogWatch.open", "LogWatch.read"]))
    }).pipe(Effect.withTracer(tracer))
  })

  it.effect("reads stored lines page by page, as its caller takes them [WA-28]", () =>
    Effect.gen(function* () {
      const { read, world } = yield* makeWorld
      yield* world.store(...Array.from({ length: 2 * LogWatch.pageSize }, (_, index) => `line ${index}`))
      const outputs = (after: number, before?: number) =>
        Effect.gen(function* () {
          const lines = yield* read(agent(1), LogId.make(after), before === undefined ? before : LogId.make(before))
          return (yield* Stream.runCollect(lines)).map(({ output }) => output)
        })

      const lines = yield* read(agent(1), LogId.make(0))
      assert.strictEqual(world.logReads, 1)
      const ids = (yield* Stream.runCollect(lines)).map(({ id }) => id)
      assert.deepStrictEqual([ids.length, world.logReads], [2 * LogWatch.pageSize, 3])
      assert.deepStrictEqual(yield* outputs(ids.at(-3)!), ["line 998", "line 999"])
      assert.deepStrictEqual(yield* outputs(0, ids[2]), ["line 0", "line 1"])
      assert.deepStrictEqual(yield* outputs(ids[0]!, ids[2]), ["line 1"])
      assert.deepStrictEqual(yield* outputs(ids.at(-1)!), [])

      world.reading = failing("unavailable")
      assert.strictEqual((yield* Effect.flip(read(agent(1), LogId.make(0))))._tag, "LogsUnavailable")
    })
  )
})
