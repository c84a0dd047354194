import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, Record } from "effect"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"

describe("the rows of a batch that was written", () => {
  it.effect("are counted by their outcome, and those ahead of the store by themselves", () =>
    Effect.gen(function* () {
      yield* MetadataStoreMetrics.count({ stored: 5, stale: 3, undeclared: 2, ahead: 1 })
      yield* MetadataStoreMetrics.count({ stored: 1, stale: 0, undeclared: 0, ahead: 1 })

      const counts = yield* Effect.all(Record.map(MetadataStoreMetrics.rows, (metric) => Metric.value(metric)))
      assert.deepStrictEqual(
        Record.map(counts, ({ count }) => count),
        { stored: 6, stale: 3, undeclared: 2 }
      )
      assert.strictEqual((yield* Metric.value(MetadataStoreMetrics.ahead)).count, 2)
      assert.sameDeepMembers(
        (yield* Metric.snapshot).map(({ attributes, id }) => [id, attributes]),
        [
          ...["stored", "stale", "undeclared"].map((outcome) => ["metadata_batcher_store_rows_total", { outcome }]),
          ["metadata_batcher_store_rows_ahead_total", undefined]
        ]
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
