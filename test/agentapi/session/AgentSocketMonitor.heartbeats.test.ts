/** How the heartbeats of many agents are written together, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as AgentSocketMonitor from "../../../src/agentapi/session/AgentSocketMonitor.ts"
import { Replica } from "../../../src/domain/Replica.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"
import { PubSub } from "../../../src/pubsub/PubSub.ts"
import { replica, session } from "../../support/agentApi.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { type AgentSocketRecord, AgentSocketStore } from "../../../src/agentapi/ports/AgentSocketStore.ts"

const away = Effect.fail(
  new StoreError({ operation: "record the heartbeats of agents", reason: "unavailable", cause: new Error("away") })
)

/** A monitor of agents that answer every ping, with the default period of 15 seconds. */
const start = Effect.gen(function* () {
  const logs: Array<LogRecord> = []
  const world = {
    /** The records of each write. */
    writes: [] as Array<ReadonlyArray<AgentSocketRecord>>,
    alone: [] as Array<AgentId>,
    writing: Effect.void as Effect.Effect<void, StoreError>,
    locked: new Set<AgentId>(),
    unlocked: Effect.void as Effect.Effect<void>
  }
  const monitor = yield* AgentSocketMonitor.make().pipe(
    Effect.provideService(AgentSocketStore, {
      recordHeartbeats: (records) =>
        Effect.suspend(() => {
          world.writes.push(records)
          return Effect.as(
            world.writing,
            new Map(records.flatMap(({ agentId }) => (world.locked.has(agentId) ? [] : [[agentId, "latest"] as const])))
          )
        }),
      recordHeartbeat: ({ agentId }) =>
        Effect.suspend(() => {
          world.alone.push(agentId)
          return Effect.as(world.unlocked, "latest" as const)
        })
    }),
    Effect.provideService(Replica, replica),
    Effect.provideService(PubSub, { publish: () => Effect.void, subscribe: () => Stream.never }),
    collectLogs(logs)
  )
  const connect = Effect.fnUntraced(function* (number: number) {
    const fenced = { times: 0 }
    const fence = Effect.sync(() => void fenced.times++)
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const started = yield* monitor
      .start({
        pingUnsafe: (answered) => {
          answered()
          return () => {}
        },
        isBehindUnsafe: () => false,
        end: () => Effect.void
      })
      .pipe(
        Scope.provide(scope),
        collectLogs(logs),
        Effect.provideService(AgentSession, session(agent(number), { receiptTime: { now: DateTime.now, fence } })),
        Effect.exit,
        Effect.forkScoped({ startImmediately: true })
      )
    return { started, fenced, leave: Scope.close(scope, Exit.void) }
  })
  return {
    world,
    logs,
    connect,
    /** Connects an agent, and waits until it is served. */
    connected: (number: number) => Effect.tap(connect(number), ({ started }) => Fiber.join(started)),
    /** The agents of each write since this was asked. */
    written: () => world.writes.splice(0).map((records) => records.map(({ agentId }) => agentId))
  }
})

describe("heartbeats of AgentSocketMonitor", () => {
  it.effect("are written once a second for a thousand agents, each agent once in an interval [CN-10]", () =>
    Effect.gen(function* () {
      const { connect, written } = yield* start
      for (let number = 0; number < 1_000; number++) {
        yield* connect(number)
        if (number % 100 === 99) yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("5 seconds")
      written()

      yield* TestClock.adjust("15 seconds")

      const writes = written()
      assert.isAtMost(writes.length, 16)
      assert.lengthOf(writes.flat(), 1_000)
      assert.lengthOf(new Set(writes.flat()), 1_000)
    })
  )

  it.effect("that come first are written together while another write runs, and no agent is served before", () =>
    Effect.gen(function* () {
      const { connect, world, written } = yield* start
      const gate = yield* Deferred.make<void>()
      world.writing = Deferred.await(gate)

      const one = yield* connect(1)
      yield* TestClock.adjust(0)
      const others = [yield* connect(2), yield* connect(3)]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(written(), [[agent(1)]])
      assert.isUndefined(one.started.pollUnsafe())
      world.writing = Effect.void
      yield* Deferred.succeed(gate, undefined)

      for (const { started } of [one, ...others]) assert.isTrue(Exit.isSuccess(yield* Fiber.join(started)))
      assert.deepStrictEqual(written(), [[agent(2), agent(3)]])
    })
  )

  it.effect("of one agent are written newest last, the end included", () =>
    Effect.gen(function* () {
      const { connect, world } = yield* start
      yield* connect(1)
      const older = yield* connect(2)
      const newer = yield* connect(2)
      yield* TestClock.adjust("14 seconds")
      world.writes.length = 0

      // agent 1 is recorded at once; the heartbeats of agent 2 wait for a second
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("500 millis")
      yield* Effect.all([newer.leave, older.leave], { concurrency: 2 })

      const last = world.writes.at(-1)!
      assert.deepStrictEqual(
        last.map(({ agentId, disconnectedAt }) => [agentId, disconnectedAt && DateTime.toEpochMillis(disconnectedAt)]),
        [[agent(2), 15_500]]
      )
    })
  )

  it.effect("of an agent that connects again fence its older connection, and no other [FT-10]", () =>
    Effect.gen(function* () {
      const { connect } = yield* start
      const [older, other] = [yield* connect(1), yield* connect(2)]
      const newer = yield* connect(1)

      assert.deepStrictEqual(
        [older, other, newer].map(({ fenced }) => fenced.times),
        [1, 0, 0]
      )
    })
  )

  it.effect("record no end while the agent has another connection to this replica [FT-20]", () =>
    Effect.gen(function* () {
      const { connect, world, written } = yield* start
      const older = yield* connect(1)
      const newer = yield* connect(1)
      written()

      yield* older.leave
      assert.deepStrictEqual(written(), [])
      yield* newer.leave

      assert.deepStrictEqual(
        world.writes.flat().map(({ phase }) => phase),
        ["end"]
      )
    })
  )

  it.effect("end no connection when their write fails, and are a warning each [CN-10]", () =>
    Effect.gen(function* () {
      const { connected, logs, world, written } = yield* start
      for (const number of [1, 2, 3]) yield* connected(number)
      world.writing = away
      yield* TestClock.adjust("16 seconds")
      assert.deepStrictEqual(
        logs.filter(({ level }) => level === "Warn").map(({ annotations }) => annotations["agentId"]),
        [agent(1), agent(2), agent(3)]
      )
      world.writing = Effect.void
      written()
      yield* TestClock.adjust("16 seconds")

      assert.sameMembers(written().flat(), [agent(1), agent(2), agent(3)])
    })
  )

  it.effect("of a locked row are a write of their own, and others go on meanwhile", () =>
    Effect.gen(function* () {
      const { connect, world } = yield* start
      const gate = yield* Deferred.make<void>()
      world.locked.add(agent(1))
      world.unlocked = Deferred.await(gate)

      const stuck = yield* connect(1)
      const free = yield* connect(2)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(free.started)))
      assert.deepStrictEqual(world.alone, [agent(1)])
      assert.isUndefined(stuck.started.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)

      assert.isTrue(Exit.isSuccess(yield* Fiber.join(stuck.started)))
    })
  )

  it.effect("of locked rows are at most two writes at a time, and others go on and are served", () =>
    Effect.gen(function* () {
      const { connect, world } = yield* start
      const gate = yield* Deferred.make<void>()
      world.unlocked = Deferred.await(gate)
      const numbers = [1, 2, 3, 4]
      for (const number of numbers) world.locked.add(agent(number))

      const stuck = yield* Effect.forEach(numbers, connect)
      const free = yield* connect(5)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(free.started)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(world.alone, [agent(1), agent(2)])
      yield* Deferred.succeed(gate, undefined)

      for (const { started } of stuck) assert.isTrue(Exit.isSuccess(yield* Fiber.join(started)))
      assert.deepStrictEqual(world.alone, numbers.map(agent))
    })
  )

  it.effect("of further locked rows are skipped until the next interval, but never the last one", () =>
    Effect.gen(function* () {
      const { connected, logs, world, written } = yield* start
      const gate = yield* Deferred.make<void>()
      const connections = yield* Effect.forEach([1, 2, 3, 4], connected)
      const [, , third] = connections
      for (const number of [1, 2, 3, 4]) world.locked.add(agent(number))
      world.unlocked = Deferred.await(gate)

      yield* TestClock.adjust("16 seconds")
      assert.deepStrictEqual(world.alone, [agent(1), agent(2)])
      assert.deepStrictEqual(
        logs.map(({ annotations, level }) => [level, annotations["agentId"]]),
        [
          ["Warn", agent(3)],
          ["Warn", agent(4)]
        ]
      )
      const leaving = yield* Effect.forkScoped(third!.leave, { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.lengthOf(world.alone, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(leaving)
      assert.deepStrictEqual(world.alone, [agent(1), agent(2), agent(3)])

      world.locked.clear()
      written()
      yield* TestClock.adjust("16 seconds")
      assert.sameMembers(written().flat(), [agent(1), agent(2), agent(4)])
      assert.lengthOf(logs, 2)
    })
  )
})
