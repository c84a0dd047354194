import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"

describe("the metrics of the pubsub", () => {
  it.effect("are all there from the start, gauges too", () =>
    Effect.gen(function* () {
      yield* PubSubMetrics.initialize

      const names = new Set((yield* Metric.snapshot).map(({ id }) => id))
      for (const { id } of [
        PubSubMetrics.connected,
        PubSubMetrics.currentSubscribers,
        PubSubMetrics.currentEvents,
        PubSubMetrics.disconnections
      ]) {
        assert.isTrue(names.has(id), id)
      }
      for (const gauge of [PubSubMetrics.connected, PubSubMetrics.currentSubscribers, PubSubMetrics.currentEvents]) {
        yield* Metric.modify(gauge, 1)
      }
      // another pubsub of the process adds to what is there
      yield* PubSubMetrics.initialize
      for (const gauge of [PubSubMetrics.connected, PubSubMetrics.currentSubscribers, PubSubMetrics.currentEvents]) {
        assert.strictEqual((yield* Metric.value(gauge)).value, 1)
      }
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
