/** The triggers of writes, the announcements, and the effects of failures. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { agent, entries, entry, failing, gated, inTurn, start, well } from "../support/metadataBatcher.ts"

const settle = TestClock.adjust(0)
const sizes = (calls: ReadonlyArray<ReadonlyArray<unknown>>) => calls.map((rows) => rows.length)

describe("MetadataBatcher flush", () => {
  it.effect("flushes 5 s after the last flush by default, not at 4.999 s [MB-02]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()
      yield* batcher.add(agent(1), entries(1))

      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(calls.length, 0)

      yield* TestClock.adjust("1 millis")
      assert.strictEqual(calls.length, 1)
    })
  )

  it.effect("waits a whole interval after a capacity flush [MB-22]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start({ maxBatchSize: 2 })
      yield* TestClock.adjust("3 seconds")
      yield* batcher.add(agent(1), entries(3))
      yield* settle
      assert.deepStrictEqual(sizes(calls), [2])

      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(sizes(calls), [2])

      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(sizes(calls), [2, 1])
    })
  )

  it.effect("waits a whole interval from the end of a scheduled flush that took its time [MB-23]", () =>
    Effect.gen(function* () {
      const slow = (rows: Parameters<typeof well>[0]) => Effect.delay(well(rows), "2 seconds")
      const { batcher, calls, metric } = yield* start({ write: slow })
      yield* batcher.add(agent(1), entries(1))
      yield* TestClock.adjust("5 seconds")
      yield* batcher.add(agent(1), entries(1))
      assert.strictEqual(calls.length, 1)

      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(calls.length, 1)

      yield* TestClock.adjust("1 millis")
      assert.strictEqual(calls.length, 2)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(metric(Metrics.batches.scheduled).count, 2)
    })
  )

  it.effect("returns from a flush by hand when everything is written, the whole queue included", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls, metric } = yield* start({ maxBatchSize: 2, write: inTurn(gated(gate)) })
      yield* batcher.add(agent(0), entries(2))
      yield* batcher.add(agent(1), entries(5))

      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle
      assert.strictEqual(flushing.pollUnsafe(), undefined)
      yield* Deferred.succeed(gate, undefined)
      yield* settle

      assert.isDefined(flushing.pollUnsafe())
      assert.strictEqual(yield* batcher.pending, 0)
      assert.strictEqual(metric(Metrics.flushed).count, 7)
      assert.deepStrictEqual(sizes(calls), [2, 2, 2, 1])
      assert.strictEqual(metric(Metrics.batches.manual).count, 3)
    })
  )

  it.effect("has at most one write in flight [MB-50]", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const { batcher, calls } = yield* start({
        maxBatchSize: 2,
        write: (rows) =>
          Effect.suspend(() => {
            most = Math.max(most, ++running)
            return Effect.delay(well(rows), "1 seconds")
          }).pipe(Effect.tap(Effect.sync(() => running--)))
      })

      yield* batcher.add(agent(0), entries(8))
      yield* Effect.forkChild(Effect.all([batcher.flush, batcher.flush], { concurrency: "unbounded" }))
      yield* TestClock.adjust("10 seconds")

      assert.deepStrictEqual([calls.length, most], [4, 1])
    })
  )

  it.effect("never writes a failed batch again, by default [MB-29]", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({ write: inTurn(failing("unavailable")) })
      yield* batcher.add(agent(1), [entry("lost")])
      yield* batcher.flush
      yield* batcher.add(agent(1), [entry("kept")])
      yield* TestClock.adjust("1 hours")

      assert.deepStrictEqual(
        calls.map((rows) => rows.map(({ key }) => key)),
        [["lost"], ["kept"]]
      )
      assert.strictEqual(metric(Metrics.lostKeys.write_failed).count, 1)
    })
  )

  it.effect("announces nobody when the write failed [MB-30]", () =>
    Effect.gen(function* () {
      const { batcher, published } = yield* start({ write: failing("unavailable") })
      yield* batcher.add(agent(1), entries(3))
      yield* batcher.flush

      assert.deepStrictEqual(published, [])
    })
  )

  it.effect("records the utilization of a batch that failed and nothing of its success [MB-31, MX-01]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({ write: failing("unavailable") })
      yield* batcher.add(agent(1), entries(3))
      yield* batcher.add(agent(2), entries(7))
      yield* batcher.flush

      const utilization = metric(Metrics.batchUtilization)
      assert.deepStrictEqual([utilization.count, utilization.sum, utilization.min, utilization.max], [2, 10, 3, 7])
      assert.strictEqual(metric(Metrics.batchSize).count, 0)
      assert.strictEqual(metric(Metrics.flushed).count, 0)
      assert.strictEqual(metric(Metrics.batches.manual).count, 0)
      assert.strictEqual(metric(Metrics.flushDuration.manual).count, 0)
      assert.strictEqual(metric(Metrics.flushFailures.unavailable).count, 1)
    })
  )

  it.effect("goes on after a failure and after a defect of the store [MB-33]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start({
        write: inTurn(failing("unavailable"), () => Effect.die("a bug in the store"))
      })
      for (let flush = 0; flush < 3; flush++) {
        yield* batcher.add(agent(1), entries(1))
        yield* TestClock.adjust("5 seconds")
      }

      assert.strictEqual(metric(Metrics.flushed).count, 1)
      assert.strictEqual(metric(Metrics.flushFailures.defect).count, 1)
      assert.strictEqual(metric(Metrics.lostKeys.write_failed).count, 2)
    })
  )

  it.effect("announces the agents of whom a write that failed changed a row nevertheless [RS-04]", () =>
    Effect.gen(function* () {
      const { batcher, published } = yield* start({
        write: inTurn(() =>
          Effect.fail(
            new MetadataStore.MetadataStoreError({ reason: "unavailable", cause: "away", changed: [agent(2)] })
          )
        )
      })
      for (const number of [1, 2]) yield* batcher.add(agent(number), [entry("only")])
      yield* batcher.flush

      assert.deepStrictEqual(
        published.map(({ agents }) => agents),
        [[agent(2)]]
      )
    })
  )

  it.effect("announces exactly the agents of whom the store changed a row [MB-34]", () =>
    Effect.gen(function* () {
      const { batcher, published } = yield* start({ write: () => Effect.succeed([agent(1), agent(3)]) })
      for (const number of [1, 2, 3]) yield* batcher.add(agent(number), entries(2))
      yield* batcher.flush

      assert.deepStrictEqual(
        published.map(({ agents }) => agents),
        [[agent(1), agent(3)]]
      )
    })
  )

  it.effect("announces nobody when nothing changed", () =>
    Effect.gen(function* () {
      const { batcher, metric, published } = yield* start({ write: () => Effect.succeed([]) })
      yield* batcher.add(agent(1), entries(2))
      yield* batcher.flush

      assert.deepStrictEqual(published, [])
      assert.strictEqual(metric(Metrics.flushed).count, 2)
    })
  )

  it.effect("announces on the channel workspace_agent_metadata_batch [MB-35]", () =>
    Effect.gen(function* () {
      const { batcher, published } = yield* start()
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush

      assert.deepStrictEqual(
        published.map(({ channel }) => channel),
        ["workspace_agent_metadata_batch"]
      )
    })
  )

  it.effect("announces 500 agents in messages of 363 and 137, and 100 in one [MB-36]", () =>
    Effect.gen(function* () {
      const { batcher, published } = yield* start()
      for (let number = 0; number < 500; number++) yield* batcher.add(agent(number), [entry("only")])
      yield* settle
      for (let number = 0; number < 100; number++) yield* batcher.add(agent(number), [entry("only")])
      yield* batcher.flush

      assert.deepStrictEqual(
        published.map(({ agents }) => agents.length),
        [363, 137, 100]
      )
    })
  )

  it.effect("counts and logs an announcement that failed, makes the next one, and has written [MB-37, MX-07]", () =>
    Effect.gen(function* () {
      let call = 0
      const { batcher, logs, metric, published } = yield* start({
        publish: (channel) =>
          call++ === 0
            ? Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: "away" }))
            : Effect.void
      })
      for (let number = 0; number < 500; number++) yield* batcher.add(agent(number), [entry("only")])
      yield* settle

      assert.strictEqual(published.length, 2)
      assert.strictEqual(metric(Metrics.publishErrors).count, 1)
      assert.strictEqual(metric(Metrics.batches.capacity).count, 1)
      assert.strictEqual(metric(Metrics.flushed).count, 500)
      const record = logs.find(({ message }) => message.includes("could not be announced"))
      assert.deepInclude(record, { level: "Error" })
      assert.deepInclude(record!.annotations, { agents: 363, bytes: 7_986 })
      assert.include(record!.cause, "PubSubError")
    })
  )

  it.effect("logs announcements that fail in a row as one error, and that they are made again [MB-37]", () =>
    Effect.gen(function* () {
      let isAway = true
      const { batcher, logs, metric } = yield* start({
        publish: (channel) =>
          isAway ? Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: "away" })) : Effect.void
      })
      const change = Effect.andThen(batcher.add(agent(1), entries(1)), batcher.flush)
      const records = () =>
        logs.filter(({ level, message }) => level !== "Debug" && /announced/.test(message)).map(({ level }) => level)

      yield* change
      yield* change
      assert.deepStrictEqual(records(), ["Error"])
      assert.strictEqual(metric(Metrics.publishErrors).count, 2)

      isAway = false
      yield* change
      isAway = true
      yield* change
      assert.deepStrictEqual(records(), ["Error", "Info", "Error"])
    })
  )

  it.effect("logs ids that cannot be encoded, announces none of them, and goes on [MB-38]", () =>
    Effect.gen(function* () {
      const { batcher, logs, metric, published } = yield* start({
        write: inTurn(() => Effect.succeed(["no uuid" as AgentId]))
      })
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush
      yield* batcher.add(agent(1), entries(1))
      yield* batcher.flush

      const [error, ...others] = logs.filter(({ level }) => level === "Error")
      assert.match(error!.message, /^changed agents could not be encoded/)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(published.length, 1)
      assert.strictEqual(metric(Metrics.flushed).count, 2)
    })
  )

  it.effect("writes with the services of the batcher, not with those of the caller [MB-49]", () =>
    Effect.gen(function* () {
      const Actor = Context.Reference<string>("test/Actor", { defaultValue: () => "nobody" })
      const actors: Array<string> = []
      const services = yield* MetadataBatcher.layer().pipe(
        Layer.provide([
          Layer.succeed(
            MetadataStore.MetadataStore,
            MetadataStore.make({
              updateBatch: (rows) =>
                Effect.flatMap(Actor, (actor) => {
                  actors.push(actor)
                  return well(rows)
                }),
              read: () => Effect.succeed([])
            })
          ),
          Layer.succeed(PubSub.PubSub, { publish: () => Effect.void, subscribe: () => Stream.never })
        ]),
        Layer.build,
        Effect.provideService(Actor, "system")
      )
      const batcher = Context.get(services, MetadataBatcher.MetadataBatcher)

      yield* Effect.provideService(
        Effect.andThen(batcher.add(agent(1), entries(500)), batcher.flush),
        Actor,
        "some agent"
      )
      yield* settle

      assert.deepStrictEqual(actors, ["system"])
    })
  )

  it.effect("keeps a second batcher of the process apart by its channel and its metrics [MB-53]", () =>
    Effect.gen(function* () {
      const first = yield* start()
      const metrics = { attributes: { tenant: "b" } }
      const second = yield* start({ registry: first.registry, channel: "tenant_b", metrics })
      yield* first.batcher.add(agent(1), entries(2))
      yield* second.batcher.add(agent(2), entries(3))
      yield* Effect.all([first.batcher.flush, second.batcher.flush])

      assert.deepStrictEqual(
        second.published.map(({ channel }) => channel),
        ["tenant_b"]
      )
      const ofSecond = Metrics.define({ prefix: Metrics.defaultPrefix, ...metrics })
      assert.strictEqual(first.metric(Metrics.flushed).count, 2)
      assert.strictEqual(first.metric(ofSecond.batcher.written).count, 3)
      assert.isFalse(second.logs.some(({ level }) => level === "Warn"))
    })
  )
})
