/** The peaks under the clock of tests, over a store in memory. */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Ids, type Metadata, MetadataStore } from "metadata-batcher"
import { make } from "./peaks.ts"

it.effect("writes the highest reading of a minute, also of readings that a failed write put back", () => {
  const agentId = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
  const written: Array<ReadonlyArray<Metadata.MetadataRow>> = []
  let failures = 1
  const Store = Layer.succeed(
    MetadataStore.MetadataStore,
    MetadataStore.make({
      updateBatch: (rows) =>
        Effect.suspend(() => {
          if (failures-- > 0) {
            return Effect.fail(new MetadataStore.MetadataStoreError({ reason: "unavailable", cause: "away" }))
          }
          written.push(rows)
          return Effect.succeed([agentId])
        }),
      read: () => Effect.succeed([])
    })
  )

  return Effect.gen(function* () {
    const peaks = yield* make
    const read = (value: string) =>
      Effect.flatMap(DateTime.now, (collectedAt) =>
        peaks.add([{ agentId, key: "celsius", value, error: "", collectedAt }])
      )
    yield* read("41")
    yield* read("67")
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(written, [])

    yield* read("52")
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(
      written.map((rows) => rows.map(({ value }) => value)),
      [["67"]]
    )
  }).pipe(Effect.scoped, Effect.provide(Store))
})
