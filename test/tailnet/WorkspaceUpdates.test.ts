/** The updates of a user's workspaces, over a store that the test speaks for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentId, UserId, WorkspaceId } from "../../src/domain/Ids.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as WorkspaceEvent from "../../src/domain/WorkspaceEvent.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { type WorkspaceTree, WorkspaceTreeStore } from "../../src/tailnet/WorkspaceTreeStore.ts"
import * as WorkspaceUpdates from "../../src/tailnet/WorkspaceUpdates.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import * as Seed from "../support/seed.ts"

const tree = (name: string, ...agents: ReadonlyArray<string>): WorkspaceTree => ({
  id: Seed.newId(WorkspaceId),
  name,
  status: "running",
  agents: agents.map((name) => ({ id: Seed.newId(AgentId), name }))
})

const names = (update: WorkspaceUpdates.WorkspaceUpdate | undefined) =>
  update === undefined
    ? undefined
    : Object.fromEntries(
        Object.entries(update).flatMap(([part, states]) =>
          states.length === 0 ? [] : [[part, states.map(({ name }: { readonly name: string }) => name)]]
        )
      )

describe("the difference of two readings", () => {
  const [one, two] = [tree("one", "a", "b"), tree("two", "c")]

  it("has what is new or changed, what is gone, and nothing else", () => {
    const difference = (before: ReadonlyArray<WorkspaceTree>, after: ReadonlyArray<WorkspaceTree>) =>
      names(WorkspaceUpdates.difference(before, after))

    assert.isUndefined(difference([], []))
    assert.isUndefined(difference([one, two], [two, one]))
    assert.deepStrictEqual(difference([one], [one, two]), { upsertedWorkspaces: ["two"], upsertedAgents: ["c"] })
    assert.deepStrictEqual(difference([one, two], [one]), { deletedWorkspaces: ["two"], deletedAgents: ["c"] })
    assert.deepStrictEqual(difference([one, two], [{ ...one, status: "stopped" }, two]), {
      upsertedWorkspaces: ["one"]
    })
    assert.deepStrictEqual(difference([one], [{ ...one, agents: one.agents.slice(1) }]), { deletedAgents: ["a"] })
    const moved = [
      { ...one, agents: [] },
      { ...two, agents: [...two.agents, ...one.agents] }
    ]
    assert.deepStrictEqual(difference([one, two], moved), { upsertedAgents: ["a", "b"] })
  })
})

const ownerId = Seed.newId(UserId)

/** Follows the workspaces of a user. */
const follow = Effect.gen(function* () {
  const world = { trees: [tree("one", "a")], isAway: false, reads: 0, pause: Effect.void as Effect.Effect<void> }
  const { follow } = yield* WorkspaceUpdates.make.pipe(
    Effect.provideService(WorkspaceTreeStore, {
      ofOwner: () =>
        Effect.suspend(() => {
          world.reads++
          return world.isAway
            ? Effect.fail(new StoreError({ operation: "read workspaces", reason: "unavailable", cause: "away" }))
            : Effect.andThen(world.pause, Effect.succeed(world.trees))
        })
    })
  )
  const updates = yield* Queue.unbounded<WorkspaceUpdates.WorkspaceUpdate>()
  const { publish } = yield* PubSub.PubSub
  return {
    world,
    start: Effect.forkChild(
      Stream.runForEach(follow(ownerId), (update) => Queue.offer(updates, update)),
      { startImmediately: true }
    ),
    event: Effect.andThen(publish(WorkspaceEvent.channel(ownerId), "an event"), TestClock.adjust("1 millis")),
    now: Effect.map(Queue.clear(updates), (all) => all.map(names))
  }
})

describe("the workspaces of a user", () => {
  it.effect("are sent at first, also if there are none, and then when they differ [TU-08]", () =>
    Effect.gen(function* () {
      const { event, now, start, world } = yield* follow
      world.trees = []
      yield* Effect.andThen(start, TestClock.adjust("1 millis"))
      assert.deepStrictEqual(yield* now, [{}])

      yield* event
      assert.deepStrictEqual(yield* now, [])
      world.trees = [tree("two")]
      yield* event
      assert.deepStrictEqual(yield* now, [{ upsertedWorkspaces: ["two"] }])
    }).pipe(Effect.provide(PubSub.layerMemory))
  )

  it.effect("are read once for all events that come while they are read", () =>
    Effect.gen(function* () {
      const { event, now, start, world } = yield* follow
      yield* Effect.andThen(start, TestClock.adjust("1 millis"))
      yield* now
      const { reads } = world
      const latch = yield* Latch.make()
      world.pause = latch.await

      for (let count = 0; count < 4; count++) yield* event
      assert.strictEqual(world.reads - reads, 1)
      yield* Effect.andThen(latch.open, TestClock.adjust("1 millis"))
      assert.strictEqual(world.reads - reads, 2)
    }).pipe(Effect.provide(PubSub.layerMemory))
  )

  it.effect("are read every 30 seconds too, for what nobody announces", () =>
    Effect.gen(function* () {
      const { now, start, world } = yield* follow
      yield* Effect.andThen(start, TestClock.adjust("1 millis"))
      yield* now
      const { reads } = world
      world.trees = [...world.trees, tree("two")]

      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual([world.reads - reads, yield* now], [0, []])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([world.reads - reads, yield* now], [1, [{ upsertedWorkspaces: ["two"] }]])
    }).pipe(Effect.provide(PubSub.layerMemory))
  )

  it.effect("are sent late while they cannot be read, with a warning, and not at all if that is so at first", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { event, now, start, world } = yield* follow
      yield* Effect.andThen(start, TestClock.adjust("1 millis"))
      yield* now
      world.isAway = true
      world.trees = []
      yield* event
      assert.deepStrictEqual(
        records.map(({ level }) => level),
        ["Warn"]
      )
      assert.include(records[0]!.message, "workspaces cannot be read, the next event tries again")
      world.isAway = false
      yield* event
      assert.deepStrictEqual(yield* now, [{ deletedWorkspaces: ["one"], deletedAgents: ["a"] }])

      const other = yield* follow
      other.world.isAway = true
      const error = yield* Effect.flip(Effect.flatMap(other.start, Fiber.join))
      assert.strictEqual(error.message, "cannot read workspaces")
    }).pipe(collectLogs(records), Effect.provide(PubSub.layerMemory))
  })
})
