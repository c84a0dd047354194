/** The monitor of a connection, under the test clock, over a store and a pubsub that remember what they were asked. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as ConnectionMonitor from "../../../src/agentapi/session/ConnectionMonitor.ts"
import { Replica } from "../../../src/domain/Replica.ts"
import type { AgentIdentity } from "../../../src/domain/AgentIdentity.ts"
import { PubSub } from "../../../src/pubsub/PubSub.ts"
import { layerConnections, replica, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import * as WallClock from "../../support/WallClock.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const millis = (time: DateTime.Utc | null) => (time === null ? null : time.epochMilliseconds)

const away = Effect.fail(
  new StoreError({ operation: "note the connection of an agent", reason: "unavailable", cause: new Error("away") })
)

interface World {
  note: Effect.Effect<void, StoreError>
  isLatest: Effect.Effect<boolean>
  ping: Effect.Effect<void>
  publish: Effect.Effect<void>
}

/** A monitor of a connection that begins a second after the test; `journal` has what it asked, in order. */
const start = Effect.fnUntraced(function* (
  options: ConnectionMonitor.Options & { readonly who?: Partial<AgentIdentity>; readonly world?: Partial<World> } = {}
) {
  yield* TestClock.setTime(1_000)
  const wall = yield* WallClock.make
  const logs: Array<LogRecord> = []
  const journal: Array<unknown> = []
  const world: World = {
    note: Effect.void,
    isLatest: Effect.succeed(true),
    ping: Effect.void,
    publish: Effect.void,
    ...options.world
  }
  const scope = yield* Scope.make()
  const monitor = yield* ConnectionMonitor.make(options).pipe(
    Effect.provide(
      layerConnections(({ agentId, disconnectedAt, firstConnectedAt, lastConnectedAt, replicaId }) =>
        Effect.suspend(() => {
          journal.push([agentId, millis(firstConnectedAt), millis(lastConnectedAt), millis(disconnectedAt), replicaId])
          return Effect.andThen(world.note, world.isLatest)
        })
      )
    ),
    Effect.provideService(Replica, replica),
    Effect.provideService(PubSub, {
      publish: (channel, payload) =>
        Effect.suspend(() => {
          journal.push(`${channel} ${JSON.parse(payload).kind}`)
          return world.publish
        }),
      subscribe: () => Stream.never
    })
  )
  const started = yield* Effect.exit(
    monitor
      .start(Effect.suspend(() => world.ping))
      .pipe(
        Scope.provide(scope),
        collectLogs(logs),
        Effect.provideService(Clock.Clock, wall.clock),
        Effect.provideService(AgentSession, session(agent(1), { identity: { ...identity(agent(1)), ...options.who } }))
      )
  )
  const close = collectLogs(logs)(Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() => Effect.sync(() => (world.note = Effect.void)).pipe(Effect.andThen(close)))
  return {
    started,
    over: yield* Effect.forkScoped(Effect.flatMap(started, ({ over }) => over)),
    /** What was asked since this was asked. */
    since: () => journal.splice(0),
    world,
    wall,
    logs,
    close
  }
})

const announced = `workspace_owner:${workspace.ownerId} agt_connection_update`

const noted = (first: number, last: number, disconnected: number | null = null) => [
  agent(1),
  first,
  last,
  disconnected,
  replica
]

describe("ConnectionMonitor", () => {
  it.effect("notes the first connection once, with the time of the clock, and keeps it [CN-08, AP-05]", () =>
    Effect.gen(function* () {
      const fresh = yield* start()
      assert.deepStrictEqual(fresh.since(), [noted(1_000, 1_000), announced])

      const known = yield* start({
        who: { firstConnectedAt: DateTime.makeUnsafe(10), disconnectedAt: DateTime.makeUnsafe(20) }
      })
      assert.deepStrictEqual(known.since(), [noted(10, 1_000, 20), announced])
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(known.since()[0], noted(10, 16_000))
    })
  )

  it.effect("announces a connection right after it was noted, before anything is served [CN-09]", () =>
    Effect.gen(function* () {
      const { since, started } = yield* start()

      assert.isTrue(Exit.isSuccess(started))
      assert.deepStrictEqual(since(), [noted(1_000, 1_000), announced])
    })
  )

  it.effect("serves no agent whose connection cannot be noted, and notes that it has left [CN-09]", () =>
    Effect.gen(function* () {
      const { close, logs, since, started } = yield* start({ world: { note: away } })

      assert.isTrue(Exit.isFailure(started))
      yield* close

      assert.deepStrictEqual(since(), [noted(1_000, 1_000), noted(1_000, 1_000, 1_000), announced])
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message.split(" {")[0]]),
        [["Error", "that an agent has left cannot be noted"]]
      )
    })
  )

  it.effect("notes the connection anew each period, and announces nothing while nothing changes [CN-10, CN-16]", () =>
    Effect.gen(function* () {
      const { over, since } = yield* start()
      since()

      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(since(), [])
      yield* TestClock.adjust("30001 millis")

      assert.deepStrictEqual(since(), [noted(1_000, 16_000), noted(1_000, 31_000), noted(1_000, 46_000)])
      assert.isUndefined(over.pollUnsafe())
    })
  )

  it.effect(
    "announces once that an agent which was thought to have left is back, as soon as that is noted [CN-10]",
    () =>
      Effect.gen(function* () {
        const { logs, since, world } = yield* start({ who: { disconnectedAt: DateTime.makeUnsafe(5) } })
        since()

        world.note = away
        yield* TestClock.adjust("15 seconds")
        assert.deepStrictEqual(since(), [noted(1_000, 16_000)])
        world.note = Effect.void
        yield* TestClock.adjust("30 seconds")

        assert.deepStrictEqual(since(), [noted(1_000, 31_000), announced, noted(1_000, 46_000)])
        assert.deepStrictEqual(
          logs.map(({ level }) => level),
          ["Warn"]
        )
      })
  )

  it.effect("ends the connection of an agent that answers no pings, and notes that it has left [CN-11]", () =>
    Effect.gen(function* () {
      const { close, logs, over, since, world } = yield* start()
      yield* TestClock.adjust("15 seconds")

      world.ping = Effect.never
      // the ping of the second period is the first without an answer
      yield* TestClock.adjust("44999 millis")
      assert.isUndefined(over.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(over), "ping timeout")
      since()
      yield* close

      assert.deepStrictEqual(since(), [noted(1_000, 46_000, 61_000), announced])
      assert.deepInclude(logs[0], {
        level: "Warn",
        message: "an agent does not answer pings",
        annotations: { agentId: agent(1), workspaceId: workspace.id }
      })
    })
  )

  it.effect("lets an agent be that answers slowly, as long as it does within the timeout [CN-11]", () =>
    Effect.gen(function* () {
      const { over } = yield* start({ world: { ping: Effect.sleep("14 seconds") } })

      yield* TestClock.adjust("10 minutes")

      assert.isUndefined(over.pollUnsafe())
    })
  )

  it.effect("tells silence by the time that passes, although the time of day is set forward or back [CN-11]", () =>
    Effect.gen(function* () {
      const { over, wall, world } = yield* start({ world: { ping: Effect.sleep("1 second") } })

      wall.forward("1 hour")
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(over.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("1 second")
      wall.back("2 hours")
      yield* TestClock.adjust("45 seconds")

      assert.strictEqual(yield* Fiber.join(over), "ping timeout")
    })
  )

  it.effect("gives an agent at least two seconds, however short the period is [CN-11]", () =>
    Effect.gen(function* () {
      for (const timeout of ["1 millis", undefined] as const) {
        const { close, over } = yield* start({ period: "100 millis", timeout, world: { ping: Effect.never } })

        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(over.pollUnsafe())
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* Fiber.join(over), "ping timeout")
        yield* close
      }
    })
  )

  it.effect("gives an agent at least two periods, because it is heard of once in one [CN-11]", () =>
    Effect.gen(function* () {
      const { over, world } = yield* start({ timeout: "3 seconds" })

      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(over.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("45 seconds")
      assert.strictEqual(yield* Fiber.join(over), "ping timeout")
    })
  )

  it.effect("ends the connection of an agent of an old build within a period [CN-12]", () =>
    Effect.gen(function* () {
      const { logs, over, since, world } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      world.isLatest = Effect.succeed(false)
      yield* TestClock.adjust("10 seconds")

      assert.strictEqual(yield* Fiber.join(over), "the build of the agent is no longer the latest")
      assert.deepStrictEqual(since(), [noted(1_000, 31_000)])
      assert.deepInclude(logs[0], { level: "Info" })
    })
  )

  it.effect("notes and announces that an agent has left although its connection is over [CN-13, CN-14, CN-16]", () =>
    Effect.gen(function* () {
      const { close, since } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      yield* close
      yield* TestClock.adjust("1 hours")

      assert.deepStrictEqual(since(), [noted(1_000, 16_000, 21_000), announced])
    })
  )

  it.effect("gives up what does not come to its end within the timeout, and says so [CN-14, CN-15]", () =>
    Effect.gen(function* () {
      const { close, logs, since, world } = yield* start({ period: "5 seconds" })
      Object.assign(world, { note: Effect.never, publish: Effect.never })
      since()

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(since(), [noted(1_000, 1_000, 1_000)])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(since(), [announced])
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)

      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Warn"]
      )
    })
  )
})
