/** Two tenants under the clock of tests. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import { PubSub } from "metadata-batcher"
import { agent, Blue, Green, layer, metricsOf, nextChange, report } from "./tenants.ts"

it.effect("announces and counts the reports of each tenant on its own", () =>
  Effect.gen(function* () {
    const ofBlue = yield* Effect.forkChild(nextChange("blue"), { startImmediately: true })
    const ofGreen = yield* Effect.forkChild(nextChange("green"), { startImmediately: true })
    yield* report(yield* Blue, "12 %")
    yield* TestClock.adjust("5 seconds")

    assert.deepStrictEqual(yield* Fiber.join(ofBlue), [agent])
    assert.isUndefined(ofGreen.pollUnsafe())
    assert.strictEqual((yield* Metric.value(metricsOf("blue").written)).count, 1)
    assert.strictEqual((yield* Metric.value(metricsOf("green").written)).count, 0)

    yield* report(yield* Green, "12 %")
    yield* TestClock.adjust("5 seconds")
    assert.deepStrictEqual(yield* Fiber.join(ofGreen), [agent])
  }).pipe(
    Effect.provide(Layer.provideMerge(layer, PubSub.layerMemory)),
    // figures of this test alone
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
)
