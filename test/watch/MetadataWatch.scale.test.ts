/** The way of a value from an agent to a watcher: the batcher, the store and the announcements between them. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as MetadataWatch from "../../src/watch/MetadataWatch.ts"
import { agent } from "../support/metadataBatcher.ts"

const layer = Layer.mergeAll(MetadataBatcher.layer(), MetadataWatch.layer).pipe(
  Layer.provide([Layer.fresh(MetadataStore.layerMemory), Layer.fresh(PubSub.layerMemory)])
)

describe("a watcher", () => {
  it.effect("sees each value within a flush and a tick, or a newer one instead [SL-04]", () =>
    Effect.gen(function* () {
      const batcher = yield* MetadataBatcher.MetadataBatcher
      const { open } = yield* MetadataWatch.MetadataWatch
      const now = Clock.currentTimeMillis
      // the reports that the watcher has not seen, by the time of each, which is its value
      const unseen: Array<number> = []
      const waits: Array<number> = []
      const report = Effect.gen(function* () {
        const at = yield* now
        unseen.push(at)
        yield* batcher.add(agent(1), [
          { key: "time", value: String(at), error: "", collectedAt: DateTime.makeUnsafe(at) }
        ])
      })
      yield* report
      yield* batcher.flush
      unseen.length = 0

      yield* open(agent(1)).pipe(
        Effect.flatMap(
          Stream.runForEach((event) =>
            Effect.map(now, (millis) => {
              if (event.type !== "data") return
              const newest = Number(event.data[0]!.result.value)
              while (unseen.length > 0 && unseen[0]! <= newest) waits.push(millis - unseen.shift()!)
            })
          )
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      for (let reports = 0; reports < 100; reports++) {
        yield* TestClock.adjust(730)
        yield* report
      }
      yield* TestClock.adjust("6 seconds")

      assert.deepStrictEqual([waits.length, unseen.length], [100, 0])
      assert.isAtMost(Math.max(...waits), 6_000)
    }).pipe(Effect.provide(layer))
  )
})
