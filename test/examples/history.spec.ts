/** The store with a history under the clock of tests, beneath the metadata batcher. */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
import { History, layerStore } from "./history.ts"

it.effect("keeps each written value once, and the newest in the store beneath, although a write fails", () => {
  const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
  const history: Array<string> = []
  let failures = 1
  const Kept = Layer.succeed(History, {
    append: (rows) =>
      Effect.suspend(() => {
        if (failures-- > 0) {
          return Effect.fail(new MetadataStore.MetadataStoreError({ reason: "unavailable", cause: "away" }))
        }
        history.push(...rows.map(({ value }) => value))
        return Effect.void
      })
  })
  const Store = Layer.provide(layerStore, [MetadataStore.layerMemory, Kept])
  const Batching = MetadataBatcher.layer({ onWriteFailure: "retain" }).pipe(
    Layer.provideMerge(Store),
    Layer.provide(PubSub.layerMemory)
  )

  return Effect.gen(function* () {
    const batcher = yield* MetadataBatcher.MetadataBatcher
    const store = yield* MetadataStore.MetadataStore
    for (const value of ["12 %", "80 %"]) {
      yield* batcher.add(agent, [{ key: "cpu", value, error: "", collectedAt: yield* DateTime.now }])
      yield* TestClock.adjust("6 seconds")
    }

    assert.deepStrictEqual(history, ["12 %", "80 %"])
    assert.deepStrictEqual(
      (yield* store.read(agent)).map(({ value }) => value),
      ["80 %"]
    )
  }).pipe(Effect.provide(Batching))
})
