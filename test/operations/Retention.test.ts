import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Metric, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as Retention from "../../src/operations/Retention.ts"
import type { Retentions } from "../../src/operations/RetentionVariables.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

const retentions: Retentions = {
  retentionLogs: Duration.days(7),
  retentionStats: Duration.days(1),
  retentionConnections: Duration.infinity,
  retentionAppStatuses: Duration.days(30),
  retentionScriptTimings: Duration.days(30),
  retentionNotifications: Duration.days(7),
  retentionHistory: Duration.days(1),
  retentionTokens: Duration.days(7),
  retentionDeleted: Duration.days(7)
}

interface Call {
  readonly kind: Retention.Kind
  readonly before: number
}

type Purge = (kind: Retention.Kind) => Effect.Effect<Option.Option<number>, StoreError>

const kept = Duration.toMillis(Duration.days(1_000))

/** Purges with this store until the test ends; its metrics are its own. */
const start = Effect.fnUntraced(function* (purge: Purge) {
  yield* TestClock.setTime(kept)
  const calls: Array<Call> = []
  const logs: Array<LogRecord> = []
  const registry = new Map()
  yield* Retention.run({ ...retentions, retentionInterval: Duration.hours(1) }).pipe(
    Effect.provide(
      Layer.succeed(Retention.RetentionStore, {
        purge: (kind, before, limit) =>
          Effect.suspend(() => {
            assert.strictEqual(limit, Retention.batchSize(kind))
            calls.push({ kind, before: DateTime.toEpochMillis(before) })
            return purge(kind)
          })
      })
    ),
    Effect.provideService(Metric.MetricRegistry, registry),
    collectLogs(logs),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* TestClock.adjust(0)
  /** The count of a series. */
  const series = (id: string, label: string, value: string) =>
    Effect.map(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry), (snapshot) => {
      const found = snapshot.find((one) => one.id === id && one.attributes?.[label] === value)
      return Schema.decodeUnknownSync(Schema.Struct({ count: Schema.Finite }))(found?.state).count
    })
  const rows = (kind: Retention.Kind) => series("coderd_dbpurge_records_purged_total", "record_type", kind)
  const passes = (success: string) => series("coderd_dbpurge_iteration_duration_seconds", "success", success)
  return { calls, logs, passes, rows }
})

const finiteKinds = Object.entries(Retention.kinds)
  .filter(([, setting]) => Duration.isFinite(retentions[setting]))
  .map(([kind]) => kind)

describe("Retention", () => {
  it.effect("purges each kind by its retention, at the start and hourly, and skips what is kept for ever [LF-01]", () =>
    Effect.gen(function* () {
      const { calls } = yield* start(() => Effect.succeedSome(0))
      assert.deepStrictEqual(
        calls.map(({ kind }) => kind),
        finiteKinds
      )
      const logs = calls.find(({ kind }) => kind === "workspace_agent_logs")!
      assert.strictEqual(logs.before, kept - Duration.toMillis(Duration.days(7)))

      yield* TestClock.adjust("59 minutes")
      assert.lengthOf(calls, finiteKinds.length)
      yield* TestClock.adjust("1 minutes")
      assert.lengthOf(calls, finiteKinds.length * 2)
    })
  )

  it.effect("deletes batches until no full one is left, and counts their rows [LF-02]", () =>
    Effect.gen(function* () {
      const full = Retention.batchSize("workspace_agent_stats")
      const left = [full, full, 7]
      const { calls, logs, passes, rows } = yield* start((kind) =>
        Effect.sync(() => Option.some(kind === "workspace_agent_stats" ? left.shift()! : 0))
      )

      assert.lengthOf(
        calls.filter(({ kind }) => kind === "workspace_agent_stats"),
        3
      )
      assert.strictEqual(yield* rows("workspace_agent_stats"), full * 2 + 7)
      assert.strictEqual(yield* rows("workspace_agent_logs"), 0)
      assert.strictEqual(yield* passes("true"), 1)
      assert.deepStrictEqual(
        logs.filter(({ level }) => level === "Info").map(({ annotations }) => annotations),
        [{ table: "workspace_agent_stats", rows: full * 2 + 7 }]
      )
    })
  )

  it.effect("leaves the pass to another replica that deletes already [LF-03]", () =>
    Effect.gen(function* () {
      const { calls, passes } = yield* start(() => Effect.succeedNone)

      assert.lengthOf(calls, 1)
      assert.strictEqual(yield* passes("true"), 0)
    })
  )

  it.effect(
    "purges the other kinds when one fails, counts the pass as failed, and tries again in an hour [LF-04]",
    () =>
      Effect.gen(function* () {
        const { calls, logs, passes } = yield* start((kind) =>
          kind === "workspace_agent_logs"
            ? Effect.fail(new StoreError({ operation: "delete old rows", reason: "unavailable", cause: "a test" }))
            : Effect.succeedSome(0)
        )
        yield* TestClock.adjust("1 hours")

        assert.lengthOf(calls, finiteKinds.length * 2)
        assert.deepStrictEqual(
          logs.filter(({ level }) => level === "Warn").map(({ message }) => message),
          ["old rows not deleted", "old rows not deleted"]
        )
        assert.strictEqual(yield* passes("false"), 2)
      })
  )
})
