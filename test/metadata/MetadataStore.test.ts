import { assert, describe, it, layer } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { AgentId } from "../../src/domain/Ids.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import { agent, entry, row } from "../support/metadataBatcher.ts"
import { newId } from "../support/seed.ts"
import { metadata } from "../support/watch.ts"
import { Agents, metadataStoreSuite } from "./storeSuite.ts"

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

describe("a key of MetadataStore.layerMemory", () => {
  it.effect("exists from its first sample on, under its own name and without a declaration", () =>
    Effect.gen(function* () {
      const { read, updateBatch } = yield* MetadataStore.MetadataStore
      const { agentId, ...sample } = row(agent(1), entry("cpu", "1"))

      yield* updateBatch([{ agentId, ...sample }])

      assert.deepStrictEqual(yield* read(agentId), [
        {
          ...sample,
          displayName: "cpu",
          script: "",
          interval: Duration.zero,
          timeout: Duration.zero,
          displayOrder: 0
        }
      ])
    }).pipe(Effect.provide(MetadataStore.layerMemory))
  )
})

layer(
  Layer.merge(
    MetadataStore.layerMemory,
    Layer.succeed(Agents, {
      declare: (count) => Effect.sync(() => Array.from({ length: count }, () => newId(AgentId)))
    })
  )
)("MetadataStore.layerMemory", metadataStoreSuite)
