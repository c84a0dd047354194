/** Acceptance, merging and drops of `add`, and their records. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Deferred, Effect, Exit, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { InvalidSetting } from "../../src/batcher/BatcherSettings.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { agent, entries, entry, gated, hanging, start } from "../support/metadataBatcher.ts"
import * as Sleeps from "../support/sleeps.ts"

const settle = TestClock.adjust(0)

/** A batcher of size 2 whose first batch is being written for ever and whose queue has `free` places. */
const crowded = Effect.fnUntraced(function* (free: number, options: Parameters<typeof start>[0] = {}) {
  const harness = yield* start({ maxBatchSize: 2, write: hanging, ...options })
  yield* harness.batcher.add(agent(0), entries(2))
  yield* settle
  yield* harness.batcher.add(agent(1), entries(10 - free))
  return harness
})

const dropLogs = (harness: { readonly logs: ReadonlyArray<{ level: string; message: string }> }) =>
  harness.logs.filter(({ message }) => message.includes("dropped")).map(({ level }) => level)

describe("MetadataBatcher intake", () => {
  it.effect("flushes at 500 entries by default, not at 499 [MB-01]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), entries(499))
      yield* settle
      assert.strictEqual(calls.length, 0)

      yield* batcher.add(agent(2), entries(1))
      yield* settle
      assert.strictEqual(calls.length, 1)
    })
  )

  it.effect("holds 2 500 entries by default while a batch is being written [MB-03]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({ write: hanging })
      yield* batcher.add(agent(0), entries(500))
      yield* settle

      assert.strictEqual(yield* batcher.add(agent(1), entries(2_501)), 1)
    })
  )

  it.effect("honours each option, and takes zero for the default [MB-04]", () =>
    Effect.gen(function* () {
      const small = yield* start({ maxBatchSize: 3, interval: "100 millis", queueCapacity: 4, write: hanging })
      const zero = yield* start({ maxBatchSize: 0, interval: 0, queueCapacity: 0 })

      yield* small.batcher.add(agent(0), entries(3))
      yield* settle
      assert.strictEqual(small.calls.length, 1)
      assert.strictEqual(yield* small.batcher.add(agent(1), entries(5)), 1)

      yield* zero.batcher.add(agent(0), entries(499))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(zero.calls.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(zero.calls.length, 1)
    })
  )

  it.effect("rejects settings that make no sense, naming the setting and what it must be [MB-04]", () =>
    Effect.gen(function* () {
      const refused = (options: Parameters<typeof start>[0]) =>
        Effect.map(Effect.exit(start(options)), (exit) => {
          const defect = Exit.isFailure(exit)
            ? exit.cause.reasons.find((reason) => reason._tag === "Die")?.defect
            : undefined
          return defect instanceof InvalidSetting ? defect.message : "accepted"
        })

      assert.strictEqual(
        yield* refused({ maxBatchSize: -1 }),
        "maxBatchSize must be a whole number of at least 1, but is -1; leave it out for its default"
      )
      for (const setting of ["maxBatchSize", "maxBacklogBatchSize", "maxBatchBytes", "queueCapacity", "maxPending"]) {
        for (const value of [1_000.5, 2 ** 53, Number.NaN]) {
          assert.include(yield* refused({ [setting]: value }), `${setting} must be a whole number of at least`)
        }
      }
      assert.strictEqual(
        yield* refused({ maxPending: 499 }),
        "maxPending must be a whole number of at least maxBatchSize, 500, but is 499; leave it out for its default"
      )
      assert.strictEqual(
        yield* refused({ interval: "-1 seconds" }),
        "interval must be a duration that is not negative, but is -1 seconds; leave it out for its default"
      )
    })
  )

  it.effect("takes one list of whole entries, so that lists of unequal lengths cannot be passed [MB-07]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      // @ts-expect-error a key without its value is no entry
      const incomplete: Parameters<typeof batcher.add>[1][number] = {
        key: "a",
        error: "",
        collectedAt: entry("a").collectedAt
      }

      assert.notProperty(incomplete, "value")
      assert.strictEqual(calls.length, 0)
    })
  )

  it.effect("accepts an empty report without an effect [MB-08]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start()

      assert.strictEqual(yield* batcher.add(agent(1), []), 0)
      assert.strictEqual(yield* batcher.pending, 0)
      assert.strictEqual(metric(Metrics.acceptedKeys).count, 0)
    })
  )

  it.effect("returns at once although the store hangs and the queue is full [MB-09]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* crowded(0)

      const fiber = yield* Effect.forkChild(batcher.add(agent(2), entries(3)), { startImmediately: true })

      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(3))
    })
  )

  it.effect("succeeds with the number of entries dropped, which is no error [MB-11]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* crowded(0)

      assert.deepStrictEqual(yield* Effect.exit(batcher.add(agent(2), entries(1))), Exit.succeed(1))
    })
  )

  it.effect("accepts the first of 3 entries when one place is free and counts 2 as dropped [MB-12, MX-05]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* crowded(1)
      const before = yield* batcher.pending

      assert.strictEqual(yield* batcher.add(agent(2), entries(3)), 2)

      assert.strictEqual(yield* batcher.pending, before + 1)
      assert.strictEqual(metric(Metrics.droppedKeys).count, 2)
      assert.strictEqual(metric(Metrics.droppedKeysByReason.full).count, 2)
      assert.strictEqual(metric(Metrics.droppedKeysByReason.closed).count, 0)
    })
  )

  it.effect("logs one record for a call that drops, with agent, capacity and count [MB-13]", () =>
    Effect.gen(function* () {
      const { batcher, logs } = yield* crowded(0)

      yield* batcher.add(agent(7), entries(3))

      const records = logs.filter(({ message }) => message.includes("dropped"))
      assert.strictEqual(records.length, 1)
      assert.include(records[0]!.annotations, { agentId: agent(7), queueCapacity: 10, dropped: 3 })
    })
  )

  it.effect("logs drops at debug for 10 s, then as one warning until the next 10 s have passed [MB-05, MB-14]", () =>
    Effect.gen(function* () {
      // an interval begins with the batcher, and not with the clock
      yield* TestClock.adjust("3 seconds")
      const harness = yield* crowded(0)
      const drop = harness.batcher.add(agent(2), entries(1))

      yield* TestClock.adjust("9999 millis")
      yield* drop
      assert.deepStrictEqual(dropLogs(harness), ["Debug"])

      yield* TestClock.adjust("1 millis")
      yield* drop
      yield* drop
      assert.deepStrictEqual(dropLogs(harness), ["Debug", "Warn", "Debug"])

      yield* TestClock.adjust("25 seconds")
      yield* drop
      yield* drop
      assert.deepStrictEqual(dropLogs(harness).slice(3), ["Warn", "Debug"])

      yield* TestClock.adjust("5 seconds")
      yield* drop
      assert.deepStrictEqual(dropLogs(harness).slice(5), ["Warn"])
    })
  )

  it.effect("has no timer for its warnings, so none outlives it [MB-47]", () =>
    Sleeps.counted((sleeping) =>
      Effect.gen(function* () {
        const harness = yield* start({ dropWarningInterval: "1 seconds" })
        yield* settle
        assert.strictEqual(sleeping(), 0)
        yield* harness.batcher.add(agent(1), entries(1))
        assert.strictEqual(sleeping(), 1)
        yield* harness.close

        yield* TestClock.adjust("1 seconds")
        yield* harness.batcher.add(agent(1), entries(1))
        yield* TestClock.adjust("1 hours")

        assert.deepStrictEqual([dropLogs(harness), sleeping()], [["Warn"], 0])
      })
    )
  )

  it.effect("keeps one entry of a key that a report repeats, however many keys it has", () =>
    Effect.gen(function* () {
      for (const count of [2, 15, 16, 17, 40]) {
        const { batcher, calls } = yield* start()

        yield* batcher.add(agent(1), [...entries(count), entry("key-0", "newer", 1)])
        yield* batcher.flush

        assert.deepStrictEqual(
          calls.flat().map(({ key, value }) => `${key}=${value}`),
          [
            "key-0=newer",
            ...entries(count)
              .slice(1)
              .map(({ key, value }) => `${key}=${value}`)
          ]
        )
      }
    })
  )

  it.effect("keeps the same key of two agents apart [MB-15]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), [entry("cpu", "1")])
      yield* batcher.add(agent(2), [entry("cpu", "2")])
      yield* batcher.flush

      assert.strictEqual(calls[0]!.length, 2)
    })
  )

  it.effect("replaces a sample by a later one of the same time [MB-17]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), [entry("a", "first", 5)])
      yield* batcher.add(agent(1), [entry("a", "second", 5, "and its error")])
      yield* batcher.flush

      assert.deepStrictEqual(
        calls.flat().map(({ error, value }) => [value, error]),
        [["second", "and its error"]]
      )
    })
  )

  it.effect("counts 100 samples of one key as one pending entry [MB-18]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start()

      for (let sample = 0; sample < 100; sample++) yield* batcher.add(agent(1), [entry("a", String(sample), sample)])

      assert.strictEqual(yield* batcher.pending, 1)
      assert.strictEqual(metric(Metrics.pendingKeys).value, 1)
    })
  )

  it.effect("shows nothing pending while a batch is being written, and starts a new one behind it [MB-28]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls } = yield* start({ write: gated(gate) })
      yield* batcher.add(agent(1), entries(3))
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle

      assert.strictEqual(yield* batcher.pending, 0)
      yield* batcher.add(agent(2), entries(2))
      assert.strictEqual(yield* batcher.pending, 2)

      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isTrue(flushing.pollUnsafe() !== undefined)
      yield* TestClock.adjust("5 seconds")

      assert.deepStrictEqual(
        calls.map((rows) => rows.length),
        [3, 2]
      )
    })
  )

  it.effect("drops entries that are added after it has closed, and counts and logs them as such [MB-46]", () =>
    Effect.gen(function* () {
      const harness = yield* start()
      yield* harness.close

      assert.strictEqual(yield* harness.batcher.add(agent(1), entries(3)), 3)

      assert.strictEqual(harness.metric(Metrics.droppedKeysByReason.closed).count, 3)
      assert.strictEqual(harness.metric(Metrics.droppedKeys).count, 3)
      assert.strictEqual(harness.calls.length, 0)
      const record = Option.fromUndefinedOr(harness.logs.find(({ message }) => message.includes("dropped")))
      assert.strictEqual(Option.getOrThrow(record).annotations["reason"], "closed")
    })
  )

  it.effect("takes settings from a Config, and fails typed with the name of one that makes no sense [BA-29]", () =>
    Effect.gen(function* () {
      const layer = MetadataBatcher.layerConfig({
        settings: { maxBatchSize: Config.Int("SIZE"), announceInterval: Config.succeed(Number.NaN) }
      })
      const messageWith = (SIZE: string) =>
        MetadataBatcher.MetadataBatcher.pipe(
          Effect.provide(Layer.provide(layer, Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory))),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ SIZE })),
          Effect.flip,
          Effect.map(({ _tag, message }) => `${_tag}: ${message}`)
        )

      assert.include(yield* messageWith("many"), "ConfigError")
      assert.include(yield* messageWith("1"), "InvalidSetting: announceInterval must be")
    })
  )

  for (const setting of ["announceInterval", "shutdownTimeout", "dropWarningInterval"] as const) {
    it.effect(`is not made with a ${setting} that makes no sense, and says so`, () =>
      Effect.gen(function* () {
        const { message } = yield* Effect.flip(MetadataBatcher.makeChecked({ [setting]: "-1 seconds" }))

        assert.match(message, new RegExp(`^${setting} must be`))
      }).pipe(Effect.scoped, Effect.provide([MetadataStore.layerMemory, PubSub.layerMemory]))
    )
  }
})
