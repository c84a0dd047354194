/** The batcher of statistics. */
import { NodeCrypto } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as StatsBatcher from "../../src/usage/StatsBatcher.ts"
import * as Metrics from "../../src/usage/StatsMetrics.ts"
import { StatsStore } from "../../src/usage/StatsStore.ts"
import { agent } from "../support/metadataBatcher.ts"
import { away, hanging, inTurn, refusing, report, start } from "../support/stats.ts"

describe("StatsBatcher", () => {
  it.effect("writes a second after the last write, and has room for 1 024 reports [ST-14]", () =>
    Effect.gen(function* () {
      const { add, addAll, calls, count, sizes } = yield* start({ insert: inTurn(() => Effect.void, hanging) })

      yield* add(report(1, { rx_bytes: 7 }))
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(calls, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(
        calls.map(([row]) => [row?.agentId, row?.figures.rx_bytes]),
        [[agent(1), 7]]
      )

      // beside the batch that is being written there is room for the others of a full one
      yield* addAll(0, 1_024)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(sizes(), [1, 820])
      assert.strictEqual(count(Metrics.batcher.dropped.full), 0)
    })
  )

  it.effect("writes as soon as a batch is full by four fifths [ST-15]", () =>
    Effect.gen(function* () {
      const { addAll, sizes } = yield* start()

      yield* addAll(0, 819)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(sizes(), [])
      yield* addAll(819, 820)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(sizes(), [820])
    })
  )

  it.effect("keeps what could not be written, and writes it with what has come since, each report once [ST-16]", () =>
    Effect.gen(function* () {
      const { addAll, calls, count, logs } = yield* start({ insert: inTurn(away) })

      yield* addAll(0, 2)
      yield* TestClock.adjust("1 second")
      yield* addAll(2, 3)
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(
        calls.map((rows) => rows.map(({ agentId }) => agentId).toSorted()),
        [
          [agent(0), agent(1)],
          [agent(0), agent(1), agent(2)]
        ]
      )
      // a report that was written although the answer was lost is known by its id
      assert.includeMembers(
        calls[1]!.map(({ id }) => id),
        calls[0]!.map(({ id }) => id)
      )
      assert.strictEqual(new Set(calls[1]!.map(({ id }) => id)).size, 3)
      assert.deepStrictEqual([count(Metrics.batcher.written), count(Metrics.batcher.failures)], [3, 1])
      assert.deepInclude(
        logs.find(({ level }) => level === "Error"),
        { annotations: { reports: 2 } }
      )
    })
  )

  it.effect("holds at most 128 reports of one agent, so that others find room [FT-71]", () =>
    Effect.gen(function* () {
      const { add, calls, count } = yield* start({ insert: inTurn(away) })

      for (let sent = 0; sent < 200; sent++) yield* add(report(1))
      yield* TestClock.adjust("1 second")
      yield* add(report(1))
      yield* add(report(2))
      assert.strictEqual(count(Metrics.batcher.dropped.quota), 73)
      yield* TestClock.adjust("1 second")
      yield* add(report(1))

      assert.deepStrictEqual(
        [1, 2].map((number) => (calls[1] ?? []).filter(({ agentId }) => agentId === agent(number)).length),
        [128, 1]
      )
      assert.strictEqual(count(Metrics.batcher.dropped.quota), 73)
      assert.strictEqual(count(Metrics.batcher.dropped.full), 0)
    })
  )

  it.effect("keeps as much as there is room for, and counts the rest as dropped", () =>
    Effect.gen(function* () {
      const { addAll, close, count, logs } = yield* start({ size: 10, maxPending: 20, insert: away })

      yield* addAll(0, 100)
      yield* TestClock.adjust(0)
      const dropped = count(Metrics.batcher.dropped.full)
      // 20 are pending, 10 more wait to be
      assert.strictEqual(dropped, 70)
      const drops = logs.filter(({ message }) => message === "report of statistics dropped")
      assert.strictEqual(drops.length, dropped)
      assert.deepInclude(drops[0], { level: "Debug", annotations: { agentId: agent(30), reason: "full" } })

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(count(Metrics.batcher.lost.shutdown) + count(Metrics.batcher.written), 30)
      yield* addAll(0, 1)
      assert.strictEqual(count(Metrics.batcher.dropped.closed), 1)
    })
  )

  it.effect("writes what it has at the end, for which there are 15 seconds [ST-17]", () =>
    Effect.gen(function* () {
      const well = yield* start()
      yield* well.addAll(0, 3)
      yield* well.close
      assert.deepStrictEqual(well.sizes(), [3])
      assert.deepInclude(well.logs.at(-1), { level: "Info", annotations: { written: 3, lost: 0 } })

      const stuck = yield* start({ insert: hanging })
      yield* stuck.addAll(0, 3)
      const closing = yield* Effect.forkChild(stuck.close, { startImmediately: true })
      yield* TestClock.adjust("14999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual(stuck.count(Metrics.batcher.lost.shutdown), 3)
      assert.deepInclude(stuck.logs.at(-1), { level: "Warn", annotations: { written: 0, lost: 3 } })
    })
  )

  it.effect("is not built without a store [ST-18]", () =>
    Effect.gen(function* () {
      const building = Effect.scoped(Layer.build(StatsBatcher.layer()))

      const without = Context.makeUnsafe<StatsStore>(new Map())
      const exit = yield* building.pipe(Effect.provideContext(without), Effect.provide(NodeCrypto.layer), Effect.exit)

      assert.isTrue(Exit.hasDies(exit))
      assert.include(String(exit), StatsStore.key)
    })
  )

  it.effect("gives up a report that the store rejects, and writes the others", () =>
    Effect.gen(function* () {
      const { addAll, count, flush, logs } = yield* start({ insert: refusing(2) })

      yield* addAll(0, 5)
      yield* flush

      assert.deepStrictEqual([count(Metrics.batcher.written), count(Metrics.batcher.lost.rejected)], [4, 1])
      assert.deepInclude(
        logs.find(({ level }) => level === "Error"),
        { annotations: { agentId: agent(2) } }
      )
      assert.notInclude(JSON.stringify(logs), "a secret")
    })
  )

  it.effect("counts sessions of types beyond the limit as unknown, and never the well-known ones", () =>
    Effect.gen(function* () {
      const { add, calls, flush } = yield* start({ maxSessionTypes: 2 })

      yield* add(report(1, { session_counts: { cursor: 1, unknown: 2 } }))
      yield* add(report(2, { session_counts: { zed: 1, cursor: 4, windsurf: 2, emacs: 3 } }))
      yield* add(report(3, { session_counts: { ssh: 1, vim: 5 } }))
      yield* flush
      yield* add(report(4, { session_counts: { vim: 6 } }))
      yield* flush

      assert.deepStrictEqual(
        calls.flat().map(({ figures }) => figures.session_counts),
        [{ cursor: 1, unknown: 2 }, { zed: 1, cursor: 4, unknown: 5 }, { ssh: 1, unknown: 5 }, { vim: 6 }]
      )
    })
  )

  it.effect("counts sessions of the well-known types by their type although no other has room", () =>
    Effect.gen(function* () {
      const { add, calls, flush } = yield* start({ maxSessionTypes: 0 })
      const wellKnown = { vscode: 1, jetbrains: 2, reconnecting_pty: 3, ssh: 4 }

      yield* add(report(1, { session_counts: { cursor: 5, ...wellKnown } }))
      yield* flush

      assert.deepStrictEqual(
        calls.flat().map(({ figures }) => figures.session_counts),
        [{ ...wellKnown, unknown: 5 }]
      )
    })
  )

  it.effect("has metrics of these names", () =>
    Effect.gen(function* () {
      const { names } = yield* start()

      assert.includeMembers(
        [...(yield* names)],
        [
          "coderd_agentapi_stats_written_total",
          "coderd_agentapi_stats_flush_failures_total",
          "coderd_agentapi_stats_dropped_total",
          "coderd_agentapi_stats_lost_total"
        ]
      )
    })
  )
})
