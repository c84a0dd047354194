/** How boundaries are used, counted over a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as BoundaryUsage from "../../src/usage/BoundaryUsage.ts"
import { Replica } from "../../src/domain/Replica.ts"
import { UserId, WorkspaceId } from "../../src/domain/Ids.ts"
import { replica } from "../support/agentApi.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { BoundaryUsageStore, type BoundaryCounts } from "../../src/usage/BoundaryUsageStore.ts"

const id = (number: number) => `10000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`

const requests = (workspace: number, user: number, allowed = 1, denied = 0): BoundaryUsage.BoundaryRequests => ({
  workspaceId: WorkspaceId.make(id(workspace)),
  userId: UserId.make(id(user)),
  allowed,
  denied
})

const failed = Effect.fail(new StoreError({ operation: "write", reason: "unavailable", cause: "no route" }))

/** A tracker that runs, over a table with one row at most. */
const start = Effect.fnUntraced(function* (options: BoundaryUsage.Options = {}) {
  const logs: Array<LogRecord> = []
  const scope = yield* Scope.make()
  const world = {
    row: undefined as BoundaryCounts | undefined,
    writes: 0,
    writing: Effect.void as Effect.Effect<void, StoreError>
  }
  const usage = yield* BoundaryUsage.make(options).pipe(
    Effect.provideService(BoundaryUsageStore, {
      write: (replicaId, { recent, total }) =>
        Effect.suspend(() => {
          assert.strictEqual(replicaId, replica)
          world.writes++
          return Effect.map(world.writing, () => {
            const isNew = world.row === undefined
            world.row = isNew ? recent : total
            return isNew
          })
        })
    }),
    Effect.provideService(Replica, replica),
    Scope.provide(scope)
  )
  const runs = yield* Effect.forkChild(collectLogs(logs)(usage.run))
  return {
    ...usage,
    world,
    logs,
    close: Effect.andThen(Fiber.interrupt(runs), collectLogs(logs)(Scope.close(scope, Exit.void)))
  }
})

const minute = TestClock.adjust("60 seconds")

describe("BoundaryUsage", () => {
  it.effect("writes workspaces and users once and all requests, a minute after the last write [BL-05]", () =>
    Effect.gen(function* () {
      const { track, world } = yield* start()
      yield* track(requests(1, 1, 2, 1))
      yield* track(requests(1, 1, 3, 0))
      yield* track(requests(2, 1, 0, 1))

      yield* TestClock.adjust("59999 millis")
      assert.isUndefined(world.row)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 1, allowed: 5, denied: 2 })

      yield* track(requests(2, 2, 1, 4))
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 2, allowed: 6, denied: 6 })
    })
  )

  it.effect("writes nothing while nothing is used [BL-05]", () =>
    Effect.gen(function* () {
      const { close, track, world } = yield* start()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(world.writes, 0)

      yield* track(requests(1, 1))
      yield* TestClock.adjust("1 hour")
      yield* close
      assert.strictEqual(world.writes, 1)
    })
  )

  it.effect("writes as many denied requests as allowed ones [BL-05]", () =>
    Effect.gen(function* () {
      const { track, world } = yield* start()
      yield* track(requests(1, 1, 2, 2))
      yield* minute

      assert.deepInclude(world.row, { allowed: 2, denied: 2 })
    })
  )

  it.effect("counts from zero when its row was taken away, and keeps what came since the last write [BL-05]", () =>
    Effect.gen(function* () {
      const { track, world } = yield* start()
      yield* track(requests(1, 1, 5))
      yield* minute

      world.row = undefined
      yield* track(requests(2, 2, 3))
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 1, users: 1, allowed: 3, denied: 0 })

      yield* track(requests(3, 2, 1))
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 1, allowed: 4, denied: 0 })
    })
  )

  it.effect("writes with the next write what a failed one held, with a warning", () =>
    Effect.gen(function* () {
      const { logs, track, world } = yield* start()
      world.writing = failed
      yield* track(requests(1, 1))
      yield* minute
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )

      world.writing = Effect.void
      yield* track(requests(2, 1))
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 1, allowed: 2, denied: 0 })
    })
  )

  it.effect("counts what comes while it writes, and gives up a write that takes 10 s", () =>
    Effect.gen(function* () {
      const { track, world } = yield* start()
      world.writing = Effect.never
      yield* track(requests(1, 1))
      yield* minute
      yield* track(requests(2, 2))
      yield* TestClock.adjust("10 seconds")

      world.writing = Effect.void
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 2, allowed: 2, denied: 0 })
    })
  )

  it.effect("writes what is pending when it closes, within 10 s, and says what was lost [BL-05]", () =>
    Effect.gen(function* () {
      const well = yield* start()
      yield* well.track(requests(1, 1))
      yield* well.close
      assert.deepStrictEqual(well.world.row, { workspaces: 1, users: 1, allowed: 1, denied: 0 })

      const stuck = yield* start()
      const began = yield* Deferred.make<void>()
      stuck.world.writing = Effect.andThen(Deferred.succeed(began, undefined), Effect.never)
      yield* stuck.track(requests(1, 1))
      const closing = yield* Effect.forkChild(stuck.close)
      yield* Deferred.await(began)
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepInclude(stuck.logs.at(-1), { level: "Warn", message: "boundary usage lost at shutdown" })
      assert.deepInclude(stuck.logs.at(-1)!.annotations, { workspaces: 1, allowed: 1 })
    })
  )

  it.effect("tells apart no more workspaces and users than it may, with a warning, and counts all requests", () =>
    Effect.gen(function* () {
      const { logs, track, world } = yield* start({ maxIds: 2 })
      for (const number of [1, 2, 3]) yield* track(requests(number, number))
      yield* minute
      assert.deepStrictEqual(world.row, { workspaces: 2, users: 2, allowed: 3, denied: 0 })

      yield* track(requests(4, 4))
      yield* minute

      assert.deepStrictEqual(world.row, { workspaces: 2, users: 2, allowed: 4, denied: 0 })
      assert.include(logs[0]!.message, "too many workspaces or users")
    })
  )
})
