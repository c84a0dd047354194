/** Reports of agents go through the metadata batcher into a store of our own. */
import { DateTime, Effect, Layer } from "effect"
import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"

// One call writes a whole batch, and answers the agents of whom something changed.
export const Store = Layer.sync(MetadataStore.MetadataStore, () =>
  MetadataStore.make({
    updateBatch: (rows) =>
      Effect.as(
        Effect.log(`writing ${rows.length} rows: ${rows.map(({ key, value }) => `${key}=${value}`).join(" ")}`),
        [...new Set(rows.map(({ agentId }) => agentId))]
      ),
    read: () => Effect.succeed([])
  })
)

export const Batching = MetadataBatcher.layer({ maxBatchSize: 500, interval: "5 seconds" }).pipe(
  Layer.provide([Store, PubSub.layerMemory])
)

const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")

/** Reports one value; the batcher never fails, never waits, and answers how many entries it had to drop. */
export const report = Effect.fn(function* (key: string, value: string) {
  const batcher = yield* MetadataBatcher.MetadataBatcher
  return yield* batcher.add(agent, [{ key, value, error: "", collectedAt: yield* DateTime.now }])
})

// Two values of one key: only the newer one is written. Closing the layer writes what is pending.
const program = Effect.gen(function* () {
  yield* report("cpu", "12 %")
  yield* report("disk", "71 %")
  yield* report("cpu", "80 %")
})

if (import.meta.main) await Effect.runPromise(Effect.provide(program, Batching))
