/** The internal tests of the original, one by one, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, asSet, entries, entry, gated, row, start } from "../support/metadataBatcher.ts"

const settle = TestClock.adjust(0)
const tick = TestClock.adjust("5 seconds")

describe("MetadataBatcher, as the original tests it", () => {
  it.effect(
    "writes nothing on an empty tick, then each batch in one call, at capacity at once [MB-21, MB-25, MB-26]",
    () =>
      Effect.gen(function* () {
        const { batcher, calls, metric, published } = yield* start()

        yield* tick

        assert.deepStrictEqual([calls.length, published.length], [0, 0])
        assert.strictEqual(metric(Metrics.batches.scheduled).count, 0)

        const two = [entry("a", "1"), entry("b", "2", 0, "broken")]
        yield* batcher.add(agent(1), two)
        yield* tick

        assert.deepStrictEqual(calls.map(asSet), [asSet(two.map((sample) => row(agent(1), sample)))])
        assert.deepStrictEqual(published, [{ channel: "workspace_agent_metadata_batch", agents: [agent(1)] }])
        assert.strictEqual(metric(Metrics.flushed).count, 2)

        yield* batcher.add(agent(1), entries(3))
        yield* batcher.add(agent(2), entries(2))
        yield* tick

        assert.strictEqual(calls.length, 2)
        assert.deepStrictEqual(
          asSet(calls[1]!),
          asSet([
            ...entries(3).map((sample) => row(agent(1), sample)),
            ...entries(2).map((sample) => row(agent(2), sample))
          ])
        )
        assert.deepStrictEqual(new Set(published[1]!.agents), new Set([agent(1), agent(2)]))
        assert.strictEqual(metric(Metrics.flushed).count, 7)

        for (let number = 0; number < 500; number++) yield* batcher.add(agent(number), [entry("only")])
        yield* settle

        const all = Array.from({ length: 500 }, (_, number) => agent(number))
        assert.strictEqual(calls.length, 3)
        assert.deepStrictEqual(asSet(calls[2]!), asSet(all.map((agentId) => row(agentId, entry("only")))))
        assert.strictEqual(metric(Metrics.batches.capacity).count, 1)
        assert.strictEqual(published.length, 4)
        assert.deepStrictEqual(
          published
            .slice(2)
            .flatMap(({ agents }) => agents)
            .sort(),
          all.sort()
        )
        assert.strictEqual(metric(Metrics.flushed).count, 507)
      })
  )

  it.effect(
    "accepts 10 entries while a batch of 2 is being written, drops the 11th, and writes 6 batches [MB-03, MB-10]",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { batcher, calls, metric, published } = yield* start({ maxBatchSize: 2, write: gated(gate) })
        yield* batcher.add(agent(0), entries(2))
        yield* settle
        assert.strictEqual(calls.length, 1)

        const dropped: Array<number> = []
        for (let number = 1; number <= 11; number++) dropped.push(yield* batcher.add(agent(number), [entry("only")]))

        assert.deepStrictEqual(dropped, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        assert.strictEqual(metric(Metrics.droppedKeys).count, 1)

        yield* Deferred.succeed(gate, undefined)
        yield* settle

        assert.strictEqual(metric(Metrics.batches.capacity).count, 6)
        assert.strictEqual(metric(Metrics.flushed).count, 12)
        assert.strictEqual(published.length, 6)
      })
  )

  it.effect("writes the later of two samples of a key [MB-15]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), [entry("a", "old", 1), entry("b", "old", 1)])
      yield* batcher.add(agent(1), [entry("a", "new", 2), entry("b", "new", 2)])
      yield* tick

      assert.deepStrictEqual(calls.map(asSet), [
        asSet([row(agent(1), entry("a", "new", 2)), row(agent(1), entry("b", "new", 2))])
      ])
    })
  )

  it.effect("writes the union of overlapping reports, each key with its own time [MB-20]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), [entry("a", "1", 1), entry("b", "1", 1), entry("c", "1", 1)])
      yield* batcher.add(agent(1), [entry("b", "2", 2), entry("d", "2", 2)])
      yield* tick

      assert.deepStrictEqual(calls.map(asSet), [
        asSet(
          [entry("a", "1", 1), entry("b", "2", 2), entry("c", "1", 1), entry("d", "2", 2)].map((sample) =>
            row(agent(1), sample)
          )
        )
      ])
    })
  )

  it.effect("writes only the newest of samples that arrive as t2, t1, t3 [MB-16]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()

      yield* batcher.add(agent(1), [entry("a", "t2", 2)])
      yield* batcher.add(agent(1), [entry("a", "t1", 1)])
      yield* batcher.add(agent(1), [entry("a", "t3", 3)])
      yield* tick

      assert.deepStrictEqual(calls.map(asSet), [asSet([row(agent(1), entry("a", "t3", 3))])])
    })
  )

  it.effect("writes 500 of 600 entries at capacity and 100 on the tick, announced in 3 messages [MB-24, MB-36]", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric, published } = yield* start()

      for (let number = 0; number < 499; number++) yield* batcher.add(agent(number), [entry("only")])
      yield* settle
      assert.strictEqual(calls.length, 0)

      for (let number = 499; number < 600; number++) yield* batcher.add(agent(number), [entry("only")])
      yield* settle
      assert.deepStrictEqual(
        calls.map((rows) => rows.length),
        [500]
      )
      assert.strictEqual(yield* batcher.pending, 100)

      yield* tick

      assert.deepStrictEqual(
        calls.map((rows) => rows.length),
        [500, 100]
      )
      assert.deepStrictEqual(
        published.map(({ agents }) => agents.length),
        [363, 137, 100]
      )
      const all = Array.from({ length: 600 }, (_, number) => agent(number))
      assert.deepStrictEqual(asSet(calls.flat()), asSet(all.map((agentId) => row(agentId, entry("only")))))
      assert.deepStrictEqual(published.flatMap(({ agents }) => agents).sort(), all.sort())
      assert.deepStrictEqual([metric(Metrics.batches.capacity).count, metric(Metrics.batches.scheduled).count], [1, 1])
      assert.strictEqual(metric(Metrics.flushed).count, 600)
    })
  )

  it.effect("writes the latest value of each key that 20 callers report at once [MB-19]", () =>
    Effect.gen(function* () {
      const { batcher, calls, published } = yield* start()

      yield* Effect.forEach(
        // in an order of its own: the newest comes neither first nor last
        Array.from({ length: 20 }, (_, index) => (index * 7 + 3) % 20),
        (caller) =>
          // each key in a call and a turn of its own, and in an order of the caller's, so that callers interleave
          Effect.forEach(
            ["a", "b", "c", "a"].slice(caller % 2),
            (key) => Effect.andThen(Effect.yieldNow, batcher.add(agent(1), [entry(key, `caller ${caller}`, caller)])),
            { discard: true }
          ),
        { concurrency: "unbounded", discard: true }
      )
      yield* tick

      assert.deepStrictEqual(calls.map(asSet), [
        asSet(["a", "b", "c"].map((key) => row(agent(1), entry(key, "caller 19", 19))))
      ])
      assert.strictEqual(published.length, 1)
    })
  )
})
