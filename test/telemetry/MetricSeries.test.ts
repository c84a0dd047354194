/** The sums of the metrics of several processes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import * as MetricSeries from "../../src/telemetry/MetricSeries.ts"
import * as Prometheus from "../support/prometheus.ts"

/** The series of a process that has done something. */
const processOf = (work: Effect.Effect<unknown>) =>
  Effect.andThen(work, Effect.map(Effect.context<never>(), MetricSeries.read)).pipe(
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

const requests = Metric.counter("requests_total", { description: "Requests.", incremental: true })
const open = Metric.gauge("open_files", { description: "Open files." })
const words = Metric.frequency("words_total", { description: "Words." })
const seconds = Metric.histogram("work_seconds", {
  description: "Work.",
  boundaries: Metric.boundariesFromIterable([1, 10])
})
const memory = Metric.gauge("process_resident_memory_bytes", { description: "Memory." })

describe("MetricSeries", () => {
  it.effect("adds counters, gauges, frequencies and histograms by name and labels [WK-06]", () =>
    Effect.gen(function* () {
      const work = (factor: number) =>
        Effect.all([
          Metric.update(Metric.withAttributes(requests, { status: "200" }), factor),
          Metric.update(Metric.withAttributes(requests, { status: `${factor}00` }), 1),
          Metric.update(open, factor),
          Metric.update(words, "yes"),
          Metric.update(seconds, factor * 5)
        ])
      const parts = new Map([
        ["1", yield* processOf(work(1))],
        ["2", yield* processOf(work(3))]
      ])

      const context = MetricSeries.toContext(MetricSeries.sum(parts))

      const count = (status: string) => Metric.withAttributes(requests, { status }).valueUnsafe(context).count
      assert.deepStrictEqual([count("200"), count("100"), count("300")], [4, 1, 1])
      assert.strictEqual(open.valueUnsafe(context).value, 4)
      assert.deepStrictEqual([...words.valueUnsafe(context).occurrences], [["yes", 2]])
      assert.deepStrictEqual(seconds.valueUnsafe(context), {
        buckets: [
          [1, 0],
          [10, 1],
          [Infinity, 2]
        ],
        count: 2,
        sum: 20,
        min: 5,
        max: 15
      })
    })
  )

  it.effect("keeps what describes one process apart, by the label worker [WK-06]", () =>
    Effect.gen(function* () {
      const parts = new Map([
        ["1", yield* processOf(Metric.update(memory, 10))],
        ["2", yield* processOf(Metric.update(memory, 20))]
      ])

      const page = PrometheusMetrics.formatUnsafe(MetricSeries.toContext(MetricSeries.sum(parts)))

      assert.deepStrictEqual(Prometheus.valuesBy("worker", "process_resident_memory_bytes", page), [
        ["1", 10],
        ["2", 20]
      ])
    })
  )

  it.effect("keeps of an ended process what only grows, and of which a sum makes sense [WK-06]", () =>
    Effect.gen(function* () {
      const all = yield* processOf(
        Effect.all([Metric.update(requests, 1), Metric.update(open, 1), Metric.update(memory, 1)])
      )

      assert.deepStrictEqual(
        MetricSeries.lasting(all).map(({ id }) => id),
        ["requests_total"]
      )
    })
  )
})
