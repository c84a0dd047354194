/** The monitor of a connection, under the test clock, ended a store and a pubsub that remember what they were asked. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as AgentSocketMonitor from "../../../src/agentapi/session/AgentSocketMonitor.ts"
import { Replica } from "../../../src/domain/Replica.ts"
import type { AgentIdentity } from "../../../src/domain/AgentIdentity.ts"
import { PubSub, PubSubError } from "../../../src/pubsub/PubSub.ts"
import { layerConnections, replica, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import * as WallClock from "../../support/WallClock.ts"
import type { Recorded } from "../../../src/agentapi/ports/AgentSocketStore.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const millis = (time: DateTime.Utc | null) => (time === null ? null : time.epochMilliseconds)

const away = Effect.fail(
  new StoreError({ operation: "record the heartbeat of an agent", reason: "unavailable", cause: new Error("away") })
)

interface World {
  record: Effect.Effect<void, StoreError>
  result: Effect.Effect<Recorded>
  ping: Effect.Effect<void>
  heardAt: bigint
  publish: Effect.Effect<void, PubSubError>
}

/** A monitor of a connection that begins a second after the test; `journal` has what it asked, in order. */
const start = Effect.fnUntraced(function* (
  options: AgentSocketMonitor.Options & {
    readonly role?: "start" | "startUnrecorded"
    readonly who?: Partial<AgentIdentity>
    readonly world?: Partial<World>
  } = {}
) {
  yield* TestClock.setTime(1_000)
  const wall = yield* WallClock.make
  const logs: Array<LogRecord> = []
  const journal: Array<unknown> = []
  const world: World = {
    record: Effect.void,
    result: Effect.succeed("latest"),
    ping: Effect.void,
    heardAt: 0n,
    publish: Effect.void,
    ...options.world
  }
  const scope = yield* Scope.make()
  const reason = yield* Deferred.make<AgentSocketMonitor.Reason>()
  const monitor = yield* AgentSocketMonitor.make(options).pipe(
    Effect.provide(
      layerConnections(({ agentId, disconnectedAt, firstConnectedAt, lastConnectedAt, replicaId }) =>
        Effect.suspend(() => {
          journal.push([agentId, millis(firstConnectedAt), millis(lastConnectedAt), millis(disconnectedAt), replicaId])
          return Effect.andThen(world.record, world.result)
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
    }),
    collectLogs(logs)
  )
  const started = yield* Effect.exit(
    monitor[options.role ?? "start"]({
      ping: Effect.suspend(() => world.ping),
      heardAtUnsafe: () => world.heardAt,
      end: (why) => Deferred.succeed(reason, why)
    }).pipe(
      Scope.provide(scope),
      collectLogs(logs),
      Effect.provideService(Clock.Clock, wall.clock),
      Effect.provideService(AgentSession, session(agent(1), { identity: { ...identity(agent(1)), ...options.who } }))
    )
  )
  const close = collectLogs(logs)(Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() => Effect.sync(() => (world.record = Effect.void)).pipe(Effect.andThen(close)))
  return {
    started,
    ended: yield* Effect.forkScoped(Deferred.await(reason)),
    /** The journal since the last call. */
    since: () => journal.splice(0),
    world,
    wall,
    logs,
    close
  }
})

const announced = `workspace_owner:${workspace.ownerId} agt_connection_update`

const recorded = (first: number, last: number, disconnected: number | null = null) => [
  agent(1),
  first,
  last,
  disconnected,
  replica
]

describe("AgentSocketMonitor", () => {
  it.effect("records the first connection once, with the time of the clock, and keeps it [CN-08, AP-05]", () =>
    Effect.gen(function* () {
      const fresh = yield* start()
      assert.deepStrictEqual(fresh.since(), [recorded(1_000, 1_000), announced])

      const known = yield* start({
        who: { firstConnectedAt: DateTime.makeUnsafe(10), disconnectedAt: DateTime.makeUnsafe(20) }
      })
      assert.deepStrictEqual(known.since(), [recorded(10, 1_000, 20), announced])
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(known.since()[0], recorded(10, 16_000))
    })
  )

  it.effect("announces a connection after it was recorded, before anything is served [CN-09]", () =>
    Effect.gen(function* () {
      const { since, started } = yield* start()

      assert.isTrue(Exit.isSuccess(started))
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), announced])
    })
  )

  it.effect("serves no agent whose connection cannot be recorded, and records its end [CN-09]", () =>
    Effect.gen(function* () {
      const { close, logs, since, started } = yield* start({ world: { record: away } })

      assert.isTrue(Exit.isFailure(started))
      yield* close

      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), recorded(1_000, 1_000, 1_000), announced])
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message.split(" {")[0]]),
        [["Error", "end of an agent connection not recorded"]]
      )
    })
  )

  it.effect("ends a connection at its maximum age, varied by a tenth, and never without one [RO-03]", () =>
    Effect.gen(function* () {
      const { ended } = yield* start({ agentMaxConnectionAge: "1 hour" })
      const { ended: endless } = yield* start()

      yield* TestClock.adjust("53 minutes")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("14 minutes")

      assert.strictEqual(yield* Fiber.join(ended), "the connection reached its maximum age")
      assert.isUndefined(endless.pollUnsafe())
    })
  )

  it.effect("serves an agent whose connection cannot be announced, with a warning [BK-07]", () =>
    Effect.gen(function* () {
      const { logs, since, started } = yield* start({
        world: { publish: Effect.fail(new PubSubError({ operation: "publish", channel: "any", cause: "away" })) }
      })

      assert.isTrue(Exit.isSuccess(started))
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000), announced])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )

  it.effect("records a heartbeat each interval, and announces nothing while nothing changes [CN-10, CN-16]", () =>
    Effect.gen(function* () {
      const { ended, since } = yield* start()
      since()

      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(since(), [])
      yield* TestClock.adjust("30001 millis")

      assert.deepStrictEqual(since(), [recorded(1_000, 16_000), recorded(1_000, 31_000), recorded(1_000, 46_000)])
      assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("announces once that an agent which was thought to have left is back, after that is recorded [CN-10]", () =>
    Effect.gen(function* () {
      const { logs, since, world } = yield* start({ who: { disconnectedAt: DateTime.makeUnsafe(5) } })
      since()

      world.record = away
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(since(), [recorded(1_000, 16_000)])
      world.record = Effect.void
      yield* TestClock.adjust("30 seconds")

      assert.deepStrictEqual(since(), [recorded(1_000, 31_000), announced, recorded(1_000, 46_000)])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )

  it.effect("ends the connection of an agent that responds to no pings, and records its end [CN-11]", () =>
    Effect.gen(function* () {
      const { close, logs, ended, since, world } = yield* start()
      yield* TestClock.adjust("15 seconds")

      world.ping = Effect.never
      // the ping of the second interval is the first without an answer
      yield* TestClock.adjust("44999 millis")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
      since()
      yield* close

      assert.deepStrictEqual(since(), [recorded(1_000, 46_000, 61_000), announced])
      assert.deepInclude(logs[0], {
        level: "Warn",
        message: "agent does not answer pings",
        annotations: { agentId: agent(1), workspaceId: workspace.id }
      })
    })
  )

  it.effect("pings no agent that has sent something in the last interval, and ends it after a timeout [CN-11]", () =>
    Effect.gen(function* () {
      let pings = 0
      const { ended, world } = yield* start({ world: { ping: Effect.sync(() => void pings++) } })
      const hear = Effect.map(Clock.monotonicTimeNanos, (now) => void (world.heardAt = now))

      for (let beat = 0; beat < 10; beat++) {
        // as stock clients do, just after a ping is due
        yield* TestClock.adjust("15100 millis")
        yield* hear
        yield* TestClock.adjust("14900 millis")
      }
      assert.strictEqual(pings, 10)
      assert.isUndefined(ended.pollUnsafe())
      yield* hear
      world.ping = Effect.never
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("15 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("keeps an agent that responds slowly, but within the timeout [CN-11]", () =>
    Effect.gen(function* () {
      const { ended } = yield* start({ world: { ping: Effect.sleep("14 seconds") } })

      yield* TestClock.adjust("10 minutes")

      assert.isUndefined(ended.pollUnsafe())
    })
  )

  it.effect("measures silence by monotonic time, although the wall clock is set forward or back [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, wall, world } = yield* start({ world: { ping: Effect.sleep("1 second") } })

      wall.forward("1 hour")
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("1 second")
      wall.back("2 hours")
      yield* TestClock.adjust("45 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("gives an agent at least two seconds, however short the interval is [CN-11]", () =>
    Effect.gen(function* () {
      for (const agentPingTimeout of ["1 millis", undefined] as const) {
        const { close, ended } = yield* start({
          agentPingInterval: "100 millis",
          agentPingTimeout,
          world: { ping: Effect.never }
        })

        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(ended.pollUnsafe())
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
        yield* close
      }
    })
  )

  it.effect("gives an agent at least two intervals, because it is pinged once in each [CN-11]", () =>
    Effect.gen(function* () {
      const { ended, world } = yield* start({ agentPingTimeout: "3 seconds" })

      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(ended.pollUnsafe())
      world.ping = Effect.never
      yield* TestClock.adjust("45 seconds")
      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
    })
  )

  it.effect("ends the connection of an agent of an old build within an interval [CN-12]", () =>
    Effect.gen(function* () {
      const { logs, ended, since, world } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      world.result = Effect.succeed("outdated")
      yield* TestClock.adjust("10 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "the build of the agent is no longer the latest")
      assert.deepStrictEqual(since(), [recorded(1_000, 31_000)])
      assert.deepInclude(logs[0], { level: "Info" })
    })
  )

  it.effect("records and announces the end of a connection although it is closed [CN-13, CN-14, CN-16]", () =>
    Effect.gen(function* () {
      const { close, since } = yield* start()
      yield* TestClock.adjust("20 seconds")
      since()

      yield* close
      yield* TestClock.adjust("1 hours")

      assert.deepStrictEqual(since(), [recorded(1_000, 16_000, 21_000), announced])
    })
  )

  it.effect("stops recording and announcing an end after the timeout, with a log record each [CN-14, CN-15]", () =>
    Effect.gen(function* () {
      const { close, logs, since, world } = yield* start({ agentPingInterval: "5 seconds" })
      Object.assign(world, { record: Effect.never, publish: Effect.never })
      since()

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(since(), [recorded(1_000, 1_000, 1_000)])
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

  it.effect("pings a connection in another role and ends it when it is silent, and records nothing [FT-13]", () =>
    Effect.gen(function* () {
      const { ended, since, world } = yield* start({ role: "startUnrecorded" })
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(ended.pollUnsafe())

      world.ping = Effect.never
      yield* TestClock.adjust("45 seconds")

      assert.strictEqual(yield* Fiber.join(ended), "ping timeout")
      assert.deepStrictEqual(since(), [])
    })
  )

  it.effect("goes on without a record while the agent is connected to another replica [FT-20]", () =>
    Effect.gen(function* () {
      const { ended, logs, world } = yield* start()

      world.result = Effect.succeed("replaced")
      yield* TestClock.adjust("1 minute")

      assert.isUndefined(ended.pollUnsafe())
      assert.deepStrictEqual([...new Set(logs.map(({ level }) => level))], ["Debug"])
    })
  )
})
