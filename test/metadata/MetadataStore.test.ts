import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import { agent } from "../support/metadataBatcher.ts"
import { metadata } from "../support/watch.ts"

describe("MetadataStore.make", () => {
  it.effect("reads many agents one after the other, and leaves out those without metadata", () =>
    Effect.gen(function* () {
      const asked: Array<AgentId> = []
      const { readMany } = MetadataStore.make({
        updateBatch: () => Effect.succeed([]),
        read: (agentId) =>
          Effect.sync(() => {
            asked.push(agentId)
            return agentId === agent(2) ? [] : [metadata("cpu", agentId)]
          })
      })

      const found = yield* readMany([agent(1), agent(2), agent(3)])

      assert.deepStrictEqual(asked, [agent(1), agent(2), agent(3)])
      assert.deepStrictEqual([...found.keys()], [agent(1), agent(3)])
    })
  )
})

describe("MetadataStore.layerMemory", () => {
  it.effect("keeps the newer of two rows, and returns the agents of whom one changed", () =>
    Effect.gen(function* () {
      const { read, updateBatch } = yield* MetadataStore.MetadataStore
      const row = (value: string, at: number) => ({
        agentId: agent(1),
        key: "cpu",
        value,
        error: "",
        collectedAt: DateTime.makeUnsafe(at)
      })

      assert.deepStrictEqual(yield* updateBatch([row("new", 2)]), [agent(1)])
      assert.deepStrictEqual(yield* updateBatch([row("old", 1)]), [])
      assert.deepStrictEqual(
        (yield* read(agent(1))).map(({ value }) => value),
        ["new"]
      )
    }).pipe(Effect.provide(MetadataStore.layerMemory))
  )
})
