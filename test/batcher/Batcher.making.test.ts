/** The construction, the metrics and the idleness of a batcher. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Deferred, Effect, Fiber, Layer, Metric, Tracer } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import * as BatcherMetrics from "../../src/batcher/BatcherMetrics.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { numbers, start } from "../support/numberBatcher.ts"
import * as Sleeps from "../support/sleeps.ts"

describe("making a batcher", () => {
  it.effect("leaves nothing behind when it is interrupted at any point [BA-28]", () =>
    Effect.gen(function* () {
      for (let turn = 0; turn < 50; turn++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(start(), Effect.never)))
        for (let step = 0; step < turn % 5; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      // a timer that was left would have the clock wait for it
      const before = yield* Effect.sync(() => performance.now())
      yield* TestClock.adjust("365 days")
      assert.isBelow(performance.now() - before, 5_000)
    })
  )

  it.effect("fails typed with the name of a setting that makes no sense [BA-29]", () =>
    Effect.gen(function* () {
      const messageOf = (settings: Batcher.Settings) =>
        Batcher.makeChecked({ accumulator: Accumulator.fifo<number>(), write: () => Effect.void, ...settings }).pipe(
          Effect.scoped,
          Effect.match({ onFailure: ({ message }) => message, onSuccess: () => "made" })
        )

      assert.include(yield* messageOf({ interval: Number.NaN }), "interval must be")
      assert.include(yield* messageOf({ onWriteFailure: "keep" as "retain" }), 'onWriteFailure must be "discard" or')
      assert.include(yield* messageOf({ maxBatchSize: 1.5 }), "maxBatchSize must be")
      assert.include(yield* messageOf({ maxBacklogBatchSize: 2 }), "maxBacklogBatchSize must be")
      assert.include(yield* messageOf({ handoverTimeout: "15 seconds" }), "handoverTimeout must be shorter")
      assert.include(yield* messageOf({ maxBatchBytes: 1_000 }), "maxBatchBytes must be left out without sizeOf")
      const unlimited = Number.POSITIVE_INFINITY
      assert.strictEqual(yield* messageOf({ maxBatchBytes: unlimited, maxBatchSize: 0 }), "made")
      assert.strictEqual(yield* messageOf({ maxAttempts: unlimited, maxPendingBytes: unlimited }), "made")
      assert.strictEqual(yield* messageOf({ maxPendingPerSource: unlimited }), "made")
    })
  )

  it.effect("is a layer in one line, with settings from a Config that fail typed [BA-29]", () =>
    Effect.gen(function* () {
      class Events extends Batcher.Service<Events, number>()("test/Events") {}
      const written: Array<number> = []
      const layer = Batcher.layerConfig(Events, {
        accumulator: Accumulator.fifo<number>(),
        write: (batch) => Effect.sync(() => written.push(...batch)),
        settings: { maxBatchSize: Config.Int("BATCH") }
      })
      const withBatch = (BATCH: string) =>
        Events.use(({ add }) => add([1, 2])).pipe(
          Effect.provide(layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { BATCH } })))))
        )

      assert.strictEqual(yield* withBatch("2"), 0)
      assert.deepStrictEqual(written, [1, 2])
      const error = yield* Effect.flip(withBatch("-3"))
      assert.strictEqual(error._tag, "InvalidSetting")
    })
  )
})

describe("an idle batcher", () => {
  it.live("has no timer, and does not keep a process alive [BA-30]", () =>
    Effect.gen(function* () {
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
      const before = timers()
      const isWriting = yield* Deferred.make<void>()
      const { batcher, batches } = yield* start({
        interval: "50 millis",
        write: () => Deferred.succeed(isWriting, undefined)
      })
      assert.strictEqual(timers(), before)

      yield* batcher.add([1])
      assert.isAbove(timers(), before)
      yield* Deferred.await(isWriting)
      // the timer ends at its next tick, for which nothing is held
      yield* Effect.yieldNow
      while (timers() > before) yield* Effect.yieldNow

      assert.deepStrictEqual(batches, [[1]])
    })
  )

  it.effect("waits for no tick once its last one found nothing [BA-30]", () =>
    Sleeps.counted((sleeping) =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start({ interval: "5 seconds" })
        assert.strictEqual(sleeping(), 0)
        yield* batcher.add([1])
        assert.strictEqual(sleeping(), 1)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(batches, [[1]])
        yield* TestClock.adjust("5 seconds")

        assert.strictEqual(sleeping(), 0)
      })
    )
  )

  it.effect("keeps no timer when it closes during a back-off [BA-30]", () =>
    Sleeps.counted((sleeping) =>
      Effect.gen(function* () {
        const { batcher } = yield* start({ onWriteFailure: "retain", write: () => Effect.fail("away") })
        yield* batcher.add([1])
        yield* Effect.ignore(batcher.flush)
        assert.isAbove(sleeping(), 0)

        yield* batcher.closeNow

        assert.strictEqual(sleeping(), 0)
      })
    )
  )
})

describe("writes and observers", () => {
  it.effect(
    "may need services, and run in a root span without the annotations of whoever made the batcher [BA-31]",
    () =>
      Effect.gen(function* () {
        class Table extends Context.Service<Table, Array<unknown>>()("test/Table") {}
        const table: Array<unknown> = []
        yield* Effect.gen(function* () {
          const { batcher } = yield* start<Table>({
            write: () =>
              Table.use((table) =>
                Effect.map(Effect.serviceOption(Tracer.ParentSpan), (parent) => table.push(parent._tag))
              ),
            observer: { onWritten: ({ updates }) => Table.use((table) => Effect.sync(() => table.push(updates))) }
          })
          yield* batcher.add([1])
          yield* batcher.flush
        }).pipe(Effect.withSpan("the construction"), Effect.scoped, Effect.provideService(Table, table))

        assert.deepStrictEqual(table, ["None", [1]])
      })
  )

  it.effect("that fail without anyone listening are warned of, at most every 10 seconds [BA-32]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const { batcher } = yield* start({ write: () => Effect.fail("away") }).pipe(collectLogs(logs))
      for (let attempt = 0; attempt < 5; attempt++) {
        yield* batcher.add([attempt])
        yield* batcher.flush
      }
      const warnings = () => logs.filter(({ message }) => message.includes("batch could not be written"))
      assert.strictEqual(warnings().length, 1)
      assert.deepInclude(warnings()[0], {
        level: "Warn",
        annotations: { reason: "manual", updates: 1, retained: false }
      })
      assert.include(warnings()[0]!.message, "away")

      yield* TestClock.adjust("9999 millis")
      yield* batcher.add([1])
      yield* batcher.flush
      assert.strictEqual(warnings().length, 1)
      yield* TestClock.adjust("1 millis")
      yield* batcher.add([1])
      yield* batcher.flush
      assert.strictEqual(warnings().length, 2)
    })
  )

  it.effect("are measured under a prefix and attributes, and accounted for [BA-33]", () =>
    Effect.gen(function* () {
      const registry: Metric.MetricRegistry = new Map()
      const context = Context.make(Metric.MetricRegistry, registry)
      const options = { prefix: "audit", attributes: { tenant: "a" } }
      const metrics = BatcherMetrics.define(options)
      const count = (metric: Metric.Metric<number, Metric.CounterState<number>>) => metric.valueUnsafe(context).count
      yield* Effect.gen(function* () {
        const { batcher } = yield* start({
          maxBatchSize: 2,
          queueCapacity: 2,
          metrics: options,
          isRejection: (error) => error === "bad",
          write: (batch) => (batch.includes(3) ? Effect.fail("bad") : Effect.void)
        })
        yield* batcher.add(numbers(1, 5))
        yield* batcher.flush
      }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, registry))

      assert.strictEqual(count(metrics.accepted), 5)
      assert.strictEqual(count(metrics.written), 4)
      assert.strictEqual(count(metrics.lost.rejected), 1)
      assert.strictEqual(count(metrics.batches.capacity), 2)
      const text = yield* Effect.provideService(PrometheusMetrics.format(), Metric.MetricRegistry, registry)
      assert.include(text, 'audit_accepted_total{tenant="a"} 5')
    })
  )

  it.effect("are shown from zero on, each trigger and reason, with the boundaries of batches and times [BA-33]", () =>
    Effect.gen(function* () {
      const registry: Metric.MetricRegistry = new Map()
      const inRegistry = Effect.provideService(Metric.MetricRegistry, registry)
      const { batcher } = yield* inRegistry(start({ metrics: { prefix: "audit" } }))
      const page = inRegistry(PrometheusMetrics.format())

      const before = yield* page
      for (const reason of ["capacity", "scheduled", "manual", "shutdown"]) {
        assert.include(before, `audit_batches_total{reason="${reason}"} 0`)
      }
      for (const reason of ["write_failed", "rejected", "given_up", "shutdown", "evicted", "defect"]) {
        assert.include(before, `audit_lost_total{reason="${reason}"} 0`)
      }
      for (const reason of ["full", "quota", "closed", "nested"]) {
        assert.include(before, `audit_dropped_total{reason="${reason}"} 0`)
      }

      yield* batcher.add([1, 2])
      yield* batcher.flush

      const after = yield* page
      const of = (name: string) =>
        [...after.matchAll(new RegExp(`${name}_bucket{.*le="([^"]+)"`, "g"))].map(([, le]) => le)
      assert.deepStrictEqual(
        of("audit_batch_size"),
        [10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 1_000, 2_000].map(String).concat("+Inf")
      )
      assert.deepStrictEqual(
        of("audit_flush_duration_seconds"),
        [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5].map(String).concat("+Inf")
      )
      assert.include(after, "audit_batch_size_sum 2")
    })
  )

  it.effect("add up with those of another batcher, which is warned of while both are open [BA-33]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const registry: Metric.MetricRegistry = new Map()
      const context = Context.make(Metric.MetricRegistry, registry)
      const inRegistry = Effect.provideService(Metric.MetricRegistry, registry)
      const options = { prefix: "audit", attributes: { tenant: "a", region: "eu" } }
      const metrics = BatcherMetrics.define(options)
      const make = (attributes: Record<string, string> = options.attributes) =>
        start({ metrics: { ...options, attributes } }).pipe(inRegistry, collectLogs(logs))
      const warnings = () => logs.filter(({ level }) => level === "Warn")
      const { batcher: first } = yield* Effect.scoped(Effect.tap(make(), ({ batcher }) => batcher.add([1, 2])))
      yield* first.add([3])

      // the one before has closed
      const { batcher: second } = yield* make()
      assert.deepStrictEqual(warnings(), [])
      yield* make({ ...options.attributes, tenant: "b" })
      assert.deepStrictEqual(warnings(), [])
      const { batcher: third } = yield* make({ region: "eu", tenant: "a" })
      assert.deepStrictEqual(
        warnings().map(({ annotations }) => annotations),
        [{ prefix: "audit" }]
      )

      yield* second.add([4])
      yield* third.add([5])
      assert.strictEqual(metrics.accepted.valueUnsafe(context).count, 4)
      assert.strictEqual(metrics.written.valueUnsafe(context).count, 2)
      assert.strictEqual(metrics.pending.valueUnsafe(context).value, 2)
      assert.strictEqual(metrics.dropped.closed.valueUnsafe(context).count, 1)
    })
  )
})
