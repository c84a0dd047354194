import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"

describe("the metrics of the pubsub", () => {
  it("of measurements are counters by their names", () => {
    assert.deepStrictEqual(
      [PubSubMetrics.latencyMeasures.id, PubSubMetrics.latencyMeasureErrors.id],
      ["coder_pubsub_latency_measures_total", "coder_pubsub_latency_measure_errs_total"]
    )
  })

  it.effect("of latencies have a series for each kind of server", () =>
    Effect.gen(function* () {
      for (const backend of ["nats", "redis"]) {
        yield* Metric.update(PubSubMetrics.sendLatencySeconds(backend), 0.5)
        yield* Metric.update(PubSubMetrics.receiveLatencySeconds(backend), 0.5)
      }

      const snapshot = yield* Metric.snapshot
      assert.deepStrictEqual(
        snapshot.map(({ attributes, description, id }) => [id, attributes, description !== undefined]),
        ["nats", "redis"].flatMap((backend) =>
          ["send", "receive"].map((what) => [`coder_pubsub_${what}_latency_seconds`, { backend }, true])
        )
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("are all there from the start, gauges too", () =>
    Effect.gen(function* () {
      yield* PubSubMetrics.initialize

      const snapshot = yield* Metric.snapshot
      assert.isTrue(snapshot.every(({ description }) => description !== undefined && description !== ""))
      const names = new Set(snapshot.map(({ id }) => id))
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
