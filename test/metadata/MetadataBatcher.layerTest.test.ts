import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { agent, entries } from "../support/metadataBatcher.ts"

const nothing = { outcome: "completed", written: 0, rejected: 0, lost: 0, retained: 0, cause: undefined }

describe("a metadata batcher for tests", () => {
  it.effect("accepts everything and keeps nothing", () =>
    Effect.gen(function* () {
      const batcher = yield* MetadataBatcher.MetadataBatcher

      assert.strictEqual(yield* batcher.add(agent(1), entries(3)), 0)
      yield* batcher.offer(agent(1), entries(3))
      yield* batcher.addAndWait(agent(1), entries(3))

      assert.deepStrictEqual([yield* batcher.flush, yield* batcher.flushNow], [nothing, nothing])
      assert.deepStrictEqual([yield* batcher.pending, batcher.saturationUnsafe()], [0, 0])
    }).pipe(Effect.provide(MetadataBatcher.layerTest()))
  )

  it.effect("has the members that a test gives it", () =>
    Effect.gen(function* () {
      const batcher = yield* MetadataBatcher.MetadataBatcher

      assert.deepStrictEqual([yield* batcher.pending, yield* batcher.add(agent(1), entries(1))], [7, 0])
    }).pipe(Effect.provide(MetadataBatcher.layerTest({ pending: Effect.succeed(7) })))
  )
})
