/** The clock of these tests is that of Effect: they take no time and depend on none. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
import { report } from "./app.ts"

it.effect("writes the newest value of each key when five seconds have passed", () => {
  const batches: Array<ReadonlyArray<string>> = []
  const Store = Layer.succeed(
    MetadataStore.MetadataStore,
    MetadataStore.make({
      updateBatch: (rows) =>
        Effect.sync(() => {
          batches.push(rows.map(({ key, value }) => `${key}=${value}`))
          return rows.map(({ agentId }) => agentId)
        }),
      read: () => Effect.succeed([])
    })
  )

  return Effect.gen(function* () {
    yield* report("cpu", "12 %")
    yield* report("cpu", "80 %")

    yield* TestClock.adjust("4999 millis")
    assert.deepStrictEqual(batches, [])

    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(batches, [["cpu=80 %"]])
  }).pipe(Effect.provide(MetadataBatcher.layer().pipe(Layer.provide([Store, PubSub.layerMemory]))))
})
