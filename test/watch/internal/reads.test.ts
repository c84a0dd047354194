import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { MetadataStore, MetadataStoreError } from "../../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"
import * as Reads from "../../../src/watch/internal/reads.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { metadata } from "../../support/watch.ts"

const refused = new MetadataStoreError({ reason: "unavailable", cause: new Error("away") })

/** Reads of a store that fails for agent 13, and has no rows of agent 11. `reads` has what it was asked. */
const start = Effect.fnUntraced(function* () {
  const reads: Array<ReadonlyArray<AgentId>> = []
  const rowsOf = (agentId: AgentId) => [metadata("cpu", agentId)]
  const ask = <A>(agentIds: ReadonlyArray<AgentId>, answer: () => A) =>
    Effect.suspend(() => {
      reads.push(agentIds)
      return agentIds.includes(agent(13)) ? Effect.fail(refused) : Effect.sync(answer)
    })
  const read = yield* Effect.provideService(Reads.make, MetadataStore, {
    updateBatch: () => Effect.succeed([]),
    read: (agentId) => ask([agentId], () => rowsOf(agentId)),
    readMany: (agentIds) =>
      ask(agentIds, () => new Map(agentIds.filter((id) => id !== agent(11)).map((id) => [id, rowsOf(id)])))
  })
  const fork = (...agents: ReadonlyArray<number>) =>
    Effect.forEach(agents, (number) => Effect.forkScoped(Effect.exit(read(agent(number))), { startImmediately: true }))
  // announcements that arrive now are read together
  yield* fork(0)
  reads.length = 0
  return { reads, fork }
})

const values = (fibers: ReadonlyArray<Fiber.Fiber<Exit.Exit<ReadonlyArray<{ readonly value: string }>, unknown>>>) =>
  Effect.map(Fiber.joinAll(fibers), (exits) =>
    exits.map((exit) => (Exit.isSuccess(exit) ? exit.value.map(({ value }) => value) : "failed"))
  )

describe("reads", () => {
  it.effect("reads agents together, one agent once, and returns to each caller its rows or none", () =>
    Effect.gen(function* () {
      const { fork, reads } = yield* start()

      const fibers = yield* fork(1, 2, 1, 11)
      yield* TestClock.adjust(Reads.window)

      assert.deepStrictEqual(reads, [[agent(1), agent(2), agent(11)]])
      assert.deepStrictEqual(yield* values(fibers), [[agent(1)], [agent(2)], [agent(1)], []])
    })
  )

  it.effect("reads no more than so many agents in one statement, of which one that fails fails alone", () =>
    Effect.gen(function* () {
      const { fork, reads } = yield* start()

      const fibers = yield* fork(13, ...Array.from({ length: 2 * Reads.maxAgents }, (_, number) => number + 100))
      yield* TestClock.adjust(Reads.window)

      assert.deepStrictEqual(
        reads.map(({ length }) => length),
        [Reads.maxAgents, Reads.maxAgents, 1]
      )
      const failed = (yield* values(fibers)).map((value) => value === "failed")
      assert.deepStrictEqual(new Set(failed.slice(0, Reads.maxAgents)), new Set([true]))
      assert.deepStrictEqual(new Set(failed.slice(Reads.maxAgents)), new Set([false]))
    })
  )
})
