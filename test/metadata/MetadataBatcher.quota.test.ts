/** A bound on the entries of one agent. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { agent, entries, failing, gated, inTurn, start } from "../support/metadataBatcher.ts"

describe("maxPendingPerSource", () => {
  it.effect("bounds the entries of one agent in the mailbox and pending, and leaves room to others [FT-71]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, calls, metric } = yield* start({
        onWriteFailure: "retain",
        maxBatchSize: 10,
        queueCapacity: 50,
        maxPending: 200,
        maxPendingPerSource: 40,
        write: gated(gate)
      })
      yield* batcher.add(agent(9), entries(10))
      yield* TestClock.adjust(0)

      const dropped: Array<number> = []
      for (let report = 0; report < 20; report++) {
        dropped.push(yield* batcher.add(agent(1), entries(10, `report-${report}`)))
        // a fifth of the mailbox
        assert.isAtMost(metric(Metrics.queueDepth).value, 10)
        assert.isAtMost(yield* batcher.pending, 40)
      }
      assert.strictEqual(
        dropped.reduce((sum, count) => sum + count, 0),
        160
      )
      assert.strictEqual(metric(Metrics.droppedKeysByReason.quota).count, 160)
      // newer values of its keys find room as before
      assert.strictEqual(yield* batcher.add(agent(1), entries(10, "report-0")), 0)
      for (const number of [2, 3, 4]) assert.strictEqual(yield* batcher.add(agent(number), entries(40)), 0)

      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush
      const ofAgent = (number: number) => calls.flat().filter(({ agentId }) => agentId === agent(number)).length
      assert.deepStrictEqual([1, 2, 3, 4].map(ofAgent), [40, 40, 40, 40])
      assert.strictEqual(metric(Metrics.droppedKeysByReason.full).count, 0)
    })
  )

  it.effect("says why in the log, and holds up nobody else that waits for room", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, logs } = yield* start({
        maxBatchSize: 10,
        maxPending: 100,
        maxPendingPerSource: 20,
        write: inTurn(gated(gate), failing("unavailable"))
      })
      yield* batcher.add(agent(9), entries(10))
      yield* TestClock.adjust(0)
      yield* batcher.add(agent(1), entries(20))
      yield* batcher.add(agent(1), entries(1, "more"))
      assert.deepInclude(logs.find(({ message }) => message === "metadata was dropped")?.annotations, {
        dropped: 1,
        reason: "quota"
      })

      const first = yield* Effect.forkChild(batcher.offer(agent(1), entries(30, "more")), { startImmediately: true })
      const second = yield* Effect.forkChild(batcher.offer(agent(2), entries(5)), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* batcher.flush

      assert.deepStrictEqual(second.pollUnsafe(), Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.await(first), Exit.void)
    })
  )

  it.effect("needs an accumulator that counts sources", () =>
    Effect.gen(function* () {
      const error = yield* Batcher.makeChecked({
        accumulator: Accumulator.fifo<number>(),
        write: () => Effect.void,
        maxPendingPerSource: 10
      }).pipe(Effect.scoped, Effect.flip)

      assert.include(error.message, "maxPendingPerSource must be left out without an accumulator with `sources`")
    })
  )
})
