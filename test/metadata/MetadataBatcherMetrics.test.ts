/** The metrics' names, types, labels and buckets, as a scrape shows them. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, at, entries, entry, failing, inTurn, start, well } from "../support/metadataBatcher.ts"

const prefix = "coderd_agentapi_metadata_"

const scrape = Effect.fnUntraced(function* (registry: Metric.MetricRegistry) {
  const text = yield* Effect.provideService(PrometheusMetrics.format(), Metric.MetricRegistry, registry)
  return text
    .split("\n")
    .filter((line) => line.includes(prefix))
    .map((line) => line.replace(prefix, ""))
})

const buckets = (lines: ReadonlyArray<string>, name: string) =>
  lines.filter((line) => line.startsWith(`${name}_bucket`)).map((line) => /le="([^"]+)"/.exec(line)![1]!)

describe("MetadataBatcherMetrics", () => {
  it.effect("count together for several batchers of one registry, also the keys of agents", () =>
    Effect.gen(function* () {
      const { batcher, metric, registry } = yield* start()
      const { batcher: other } = yield* start({ registry })
      for (const { add, flush } of [batcher, other]) {
        yield* add(agent(1), entries(3))
        yield* flush
      }

      const { count, max, sum } = metric(Metrics.batchUtilization)
      assert.deepStrictEqual([count, max, sum], [2, 3, 6])
    })
  )

  it.effect("counts the keys of each agent once per flush, in the original's buckets [MX-01]", () =>
    Effect.gen(function* () {
      const { batcher, metric, registry } = yield* start()
      yield* batcher.add(agent(1), entries(3))
      yield* batcher.add(agent(2), entries(12))
      yield* batcher.add(agent(3), entries(3))
      yield* batcher.flush
      yield* batcher.add(agent(1), entries(3))
      yield* batcher.add(agent(4), entries(161))
      yield* batcher.flush

      const { buckets: counts, ...totals } = metric(Metrics.batchUtilization)
      assert.deepStrictEqual(totals, { count: 5, sum: 3 + 12 + 3 + 3 + 161, min: 3, max: 161 })
      assert.deepStrictEqual(
        counts.map(([, count]) => count),
        [0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]
      )
      assert.deepStrictEqual(buckets(yield* scrape(registry), "batch_utilization"), [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "10",
        "15",
        "20",
        "40",
        "80",
        "160",
        "+Inf"
      ])
    })
  )

  it.effect("counts the size of each written batch, in the original's buckets [MX-02]", () =>
    Effect.gen(function* () {
      const { batcher, metric, registry } = yield* start({ write: inTurn(failing("unavailable")) })
      yield* batcher.add(agent(1), entries(7))
      yield* batcher.flush
      yield* batcher.add(agent(1), entries(30))
      yield* batcher.flush

      assert.deepStrictEqual([metric(Metrics.batchSize).count, metric(Metrics.batchSize).sum], [1, 30])
      assert.deepStrictEqual(buckets(yield* scrape(registry), "batch_size"), [
        "10",
        "25",
        "50",
        "100",
        "150",
        "200",
        "250",
        "300",
        "350",
        "400",
        "450",
        "500",
        "+Inf"
      ])
    })
  )

  it.effect("times written flushes in seconds under their reason, in the original's buckets [MX-03]", () =>
    Effect.gen(function* () {
      const { batcher, metric, registry } = yield* start({ write: (rows) => Effect.delay(well(rows), "300 millis") })
      yield* batcher.add(agent(1), entries(1))
      yield* TestClock.adjust("6 seconds")

      const duration = metric(Metrics.flushDuration.scheduled)
      assert.deepStrictEqual([duration.count, duration.sum], [1, 0.3])

      yield* batcher.add(agent(1), entries(500))
      yield* TestClock.adjust("1 seconds")
      const counts = Object.entries(Metrics.flushDuration).map(([reason, timed]) => [reason, metric(timed).count])
      assert.deepStrictEqual(Object.fromEntries(counts), { capacity: 1, scheduled: 1, manual: 0, shutdown: 0 })
      const lines = (yield* scrape(registry)).filter((line) => line.includes(`reason="scheduled"`))
      assert.deepStrictEqual(buckets(lines, "flush_duration_seconds"), [
        "0.01",
        "0.025",
        "0.05",
        "0.1",
        "0.25",
        "0.5",
        "1",
        "2.5",
        "5",
        "+Inf"
      ])
    })
  )

  it.effect("counts written batches under capacity, scheduled and shutdown [MX-04]", () =>
    Effect.gen(function* () {
      const { batcher, close, registry } = yield* start({ maxBatchSize: 2 })
      yield* batcher.add(agent(1), entries(3))
      yield* TestClock.adjust("5 seconds")
      yield* batcher.add(agent(1), entries(1))
      yield* close

      const lines = yield* scrape(registry)
      for (const reason of ["capacity", "scheduled", "shutdown"]) {
        assert.include(lines, `batches_total{reason="${reason}"} 1`)
      }
    })
  )

  it.effect("shows every metric under its name", () =>
    Effect.gen(function* () {
      const { batcher, registry } = yield* start()
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush

      const text = yield* Effect.provideService(PrometheusMetrics.format(), Metric.MetricRegistry, registry)
      assert.deepStrictEqual(
        [...text.matchAll(/^# TYPE coderd_agentapi_metadata_(\S+) (\S+)$/gm)]
          .map(([, name, type]) => `${name} ${type}`)
          .sort(),
        [
          "accepted_keys_total counter",
          "batch_size histogram",
          "batch_utilization histogram",
          "batches_total counter",
          "dropped_keys_by_reason_total counter",
          "dropped_keys_total counter",
          "failed_writes_total counter",
          "flush_duration_seconds histogram",
          "flush_failures_total counter",
          "flushed_total counter",
          "in_flight_keys gauge",
          "lost_keys_total counter",
          "merged_keys_total counter",
          "pending_keys gauge",
          "publish_errors_total counter",
          "queue_depth gauge",
          "retained_keys_total counter",
          "written_age_seconds histogram"
        ]
      )
    })
  )

  it.effect("counts dropped entries in one counter without a label [MX-05]", () =>
    Effect.gen(function* () {
      const { batcher, close, registry } = yield* start()
      yield* close
      yield* batcher.add(agent(1), entries(2))
      yield* batcher.add(agent(1), entries(3))

      assert.include(yield* scrape(registry), "dropped_keys_total 5")
    })
  )

  it.effect("counts the dropped entries of a caller that learns of lost ones [MX-05]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({
        maxBatchSize: 2,
        queueCapacity: 2,
        write: (rows) => Effect.andThen(Effect.yieldNow, failing("unavailable")(rows))
      })

      const { _tag } = yield* Effect.flip(batcher.addAndWait(agent(1), entries(20)))

      assert.strictEqual(_tag, "Lost")
      assert.isAbove(metric(Metrics.droppedKeysByReason.full).count, 0)
      assert.strictEqual(metric(Metrics.droppedKeys).count, metric(Metrics.droppedKeysByReason.full).count)
    })
  )

  it.effect("counts the rows of written batches [MX-06]", () =>
    Effect.gen(function* () {
      const { batcher, registry } = yield* start({ write: inTurn(well, failing("unavailable"), well) })
      for (const count of [2, 3, 4]) {
        yield* batcher.add(agent(1), entries(count))
        yield* batcher.flush
      }

      assert.include(yield* scrape(registry), "flushed_total 6")
    })
  )

  it.effect("counts failed announcements [MX-07]", () =>
    Effect.gen(function* () {
      const { batcher, registry } = yield* start({ publish: () => Effect.die("no channel") })
      yield* batcher.add(agent(1), entries(2))
      yield* batcher.flush

      assert.include(yield* scrape(registry), "publish_errors_total 1")
    })
  )

  it.effect("warns of a second batcher on the same registry and adds the two up [MX-08]", () =>
    Effect.gen(function* () {
      const first = yield* start()
      const second = yield* start({ registry: first.registry })
      yield* first.batcher.add(agent(1), entries(2))
      yield* second.batcher.add(agent(1), entries(3))

      assert.strictEqual(first.metric(Metrics.acceptedKeys).count, 5)
      assert.strictEqual(first.metric(Metrics.pendingKeys).value, 5)
      assert.isTrue(second.logs.some(({ level, message }) => level === "Warn" && message.includes("second")))
      assert.isFalse(first.logs.some(({ level }) => level === "Warn"))

      yield* second.close
      assert.strictEqual(first.metric(Metrics.pendingKeys).value, 2)
    })
  )

  it.effect("measures the age of the oldest entry of each batch when it is written [LF-34]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start()
      yield* TestClock.setTime(at(9_000).epochMilliseconds)
      yield* batcher.add(agent(1), [entry("cpu", "1", 8_500), entry("disk", "1", 2_000)])
      yield* batcher.add(agent(2), [entry("cpu", "1", 7_000)])
      yield* batcher.flush

      const { count, max, min } = metric(Metrics.writtenAge)
      assert.deepStrictEqual({ count, max, min }, { count: 1, max: 7, min: 7 })
    })
  )

  it.effect("works although nobody reads the metrics [MB-06]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start({ registry: new Map() })
      yield* batcher.add(agent(1), entries(2))
      yield* batcher.flush

      assert.strictEqual(calls.length, 1)
      assert.strictEqual(Metrics.flushed.valueUnsafe(Context.make(Metric.MetricRegistry, new Map())).count, 0)
    })
  )

  it.effect("have the prefix and the attributes of their batcher, each of them", () =>
    Effect.gen(function* () {
      const { batcher, registry } = yield* start({ metrics: { prefix: "tenants", attributes: { tenant: "b" } } })
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush

      const metrics = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry)
      assert.includeMembers(
        metrics.map(({ id }) => id),
        ["tenants_batch_utilization", "tenants_written_age_seconds", "tenants_dropped_keys_total"]
      )
      const others = metrics.filter(({ attributes, id }) => !id.startsWith("tenants_") || attributes?.tenant !== "b")
      assert.deepStrictEqual(others, [])
    })
  )

  it.effect("shows every counter from zero on", () =>
    Effect.gen(function* () {
      const { registry } = yield* start()

      const lines = yield* scrape(registry)
      for (const name of ["dropped_keys_total", "flushed_total", "publish_errors_total", "accepted_keys_total"]) {
        assert.include(lines, `${name} 0`)
      }
      for (const reason of ["write_failed", "rejected", "shutdown"]) {
        assert.include(lines, `lost_keys_total{reason="${reason}"} 0`)
      }
      for (const reason of ["rejected", "unavailable", "cancelled", "defect"]) {
        assert.include(lines, `flush_failures_total{reason="${reason}"} 0`)
      }
    })
  )
})
