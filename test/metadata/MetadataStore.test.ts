import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AgentId } from "../../src/domain/Ids.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import { agent } from "../support/metadataBatcher.ts"
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

layer(
  Layer.merge(
    MetadataStore.layerMemory,
    Layer.succeed(Agents, {
      declare: (count) => Effect.sync(() => Array.from({ length: count }, () => newId(AgentId)))
    })
  )
)("MetadataStore.layerMemory", metadataStoreSuite)
