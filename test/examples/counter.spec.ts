/** The counter under the clock of tests. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { layer, see, StoreAway, ViewStore } from "./counter.ts"

it.effect("counts every view once, also those that came while the store was away", () => {
  const stored = new Map<string, number>()
  let isAway = true
  const Store = Layer.succeed(ViewStore, {
    add: (batch) =>
      Effect.suspend(() => {
        if (isAway) return Effect.fail(new StoreAway())
        for (const { count, url } of batch) stored.set(url, (stored.get(url) ?? 0) + count)
        return Effect.void
      })
  })

  return Effect.gen(function* () {
    yield* Effect.forEach(["/", "/docs", "/"], see)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(stored.size, 0)

    isAway = false
    yield* see("/")
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(
      [...stored],
      [
        ["/", 3],
        ["/docs", 1]
      ]
    )
  }).pipe(Effect.provide(Layer.provide(layer, Store)))
})
