import { Console, DateTime, Effect, Layer } from "effect"
import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"

const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")

const program = Effect.gen(function* () {
  const batcher = yield* MetadataBatcher.MetadataBatcher
  yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
  yield* batcher.flush // or wait: five seconds, or 500 entries
  const store = yield* MetadataStore.MetadataStore
  yield* Console.log((yield* store.read(agent)).map(({ key, value }) => `${key} ${value}`))
})

const Memory = Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory)
await Effect.runPromise(Effect.provide(program, Layer.provideMerge(MetadataBatcher.layer(), Memory)))
