import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { isolated } from "../support/isolated.ts"

describe("the metrics of the tailnet", () => {
  it.effect("are there from zero on, each series of them", () =>
    Effect.gen(function* () {
      yield* Coordinator.make()

      const shown = (yield* Metric.snapshot).map(({ attributes, id, state }) => {
        const labels = Object.entries(attributes ?? {}).map(([label, value]) => `${label}=${value}`)
        const value = "count" in state ? state.count : "value" in state ? state.value : undefined
        return [`${id} ${labels.join()}`.trim(), Number(value)]
      })

      const series = (name: string, label: string, values: ReadonlyArray<string>) =>
        values.map((value) => `coderd_tailnet_${name}_total ${label}=${value}`)
      assert.deepStrictEqual(
        shown.toSorted(),
        [
          "coderd_tailnet_peers",
          "coderd_tailnet_tunnels",
          "coderd_tailnet_update_latency_seconds",
          ...series("updates", "kind", ["node", "disconnected", "lost", "readyForHandshake"]),
          ...series("streams_ended", "reason", ["disconnect", "lost", "overwritten", "overflow", "refused", "closed"]),
          ...series("refusals", "reason", ["authorization", "malformed", "node_too_large", "too_many_tunnels"]),
          ...series("telemetry_events", "result", ["received", "lost"]),
          "coderd_tailnet_throttled_total",
          "coderd_tailnet_derp_map_failures_total",
          "coderd_tailnet_rows_written_total",
          "coderd_tailnet_batch_failures_total",
          "coderd_tailnet_heartbeat_failures_total"
        ]
          .map((id) => [id, 0])
          .toSorted()
      )
    }).pipe(isolated)
  )

  it.effect("tell updates across replicas apart between 5 milliseconds and 10 seconds", () =>
    Effect.gen(function* () {
      const { buckets } = yield* Metric.value(Metrics.updateLatency)

      assert.deepStrictEqual(
        buckets.map(([boundary]) => boundary),
        [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Infinity]
      )
    }).pipe(isolated)
  )
})
