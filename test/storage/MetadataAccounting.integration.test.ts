/** The accounts of metadata in Postgres: every accepted entry has one end. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Metric, Scope, Stream } from "effect"
import { SqlClient } from "effect/sql"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import { whileLocked } from "../support/locked.ts"
import { at } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const entry = (key: string, value: string, millis = 0) => ({ key, value, error: "", collectedAt: at(millis) })

/** A batcher with metrics of its own, and the sum of all ends that its entries can have. */
const start = Effect.fnUntraced(function* (options?: MetadataBatcher.Options, pubsub?: PubSub.PubSub["Service"]) {
  const registry: Metric.MetricRegistry = new Map()
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const built = yield* MetadataBatcher.layer({ maxBatchSize: 10, interval: "1 hour", ...options }).pipe(
    Layer.provide(pubsub === undefined ? PubSub.layerMemory : Layer.succeed(PubSub.PubSub, pubsub)),
    Layer.provide(PgMetadataStore.layer({ writeTimeout: "30 seconds" })),
    Layer.buildWithScope(scope),
    Effect.provideService(Metric.MetricRegistry, registry)
  )
  const context = Context.make(Metric.MetricRegistry, registry)
  const count = (metric: Metric.Metric<never, Metric.CounterState<number>>) => metric.valueUnsafe(context).count
  const figures = () => ({
    accepted: count(Metrics.acceptedKeys),
    stored: count(MetadataStoreMetrics.rows.stored),
    merged: count(Metrics.mergedKeys),
    stale: count(MetadataStoreMetrics.rows.stale),
    undeclared: count(MetadataStoreMetrics.rows.undeclared),
    lost: Object.values(Metrics.lostKeys).reduce((sum, reason) => sum + count(reason), 0),
    pending: [Metrics.queueDepth, Metrics.pendingKeys, Metrics.inFlightKeys].reduce(
      (sum, gauge) => sum + gauge.valueUnsafe(context).value,
      0
    )
  })
  const check = (expected: Partial<ReturnType<typeof figures>>) => {
    const { accepted, ...ends } = figures()
    assert.deepInclude({ accepted, ...ends }, expected)
    assert.strictEqual(
      accepted,
      Object.values(ends).reduce((sum, count) => sum + count, 0),
      JSON.stringify(ends)
    )
  }
  return {
    batcher: Context.get(built, MetadataBatcher.MetadataBatcher),
    check,
    close: Scope.close(scope, Exit.void)
  }
})

layer(Postgres.layer, { excludeTestServices: true })("the accounts of metadata", (it) => {
  it.effect("add up: accepted = stored + merged + stale + undeclared + lost + pending [FT-15]", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Seed.agents(2, ["cpu", "ram", "disk"])
      const sql = yield* SqlClient.SqlClient
      const { batcher, check, close } = yield* start({ onWriteFailure: "retain", maxPendingBytes: 10_000 })

      yield* batcher.add(a, [entry("cpu", "1"), entry("ram", "1"), entry("cpu", "2"), entry("nothing", "1")])
      check({ accepted: 4, merged: 1, pending: 3 })
      yield* batcher.flush
      check({ stored: 2, undeclared: 1, pending: 0 })

      yield* batcher.add(a, [entry("cpu", "late", -1), entry("disk", "1", 1)])
      yield* sql`DELETE FROM workspace_agent_metadata WHERE workspace_agent_id = ${b} AND key = 'ram'`
      yield* batcher.add(b, [entry("ram", "after a crash"), entry("cpu", "\u0000")])
      yield* batcher.flush
      check({ accepted: 8, stored: 4, stale: 1, lost: 1, pending: 0 })

      // too much for the bound on bytes
      yield* batcher.add(a, [entry("ram", "x".repeat(6_000), 2), entry("cpu", "3", 2)])
      check({ lost: 2, pending: 1 })

      yield* batcher.add(b, [entry("cpu", "4", 3), entry("neither", "1")])
      yield* close
      check({ accepted: 12, stored: 6, undeclared: 2, lost: 2, pending: 0 })
    })
  )

  it.effect("add up when closing is cut off during a write, after it, and with newer values waiting [FT-15]", () =>
    Effect.gen(function* () {
      const [agent] = yield* Seed.agents(1, ["cpu", "ram"])
      const stuck = yield* start({ maxBatchSize: 2, shutdownTimeout: "200 millis" })
      yield* Effect.gen(function* () {
        yield* stuck.batcher.add(agent, [entry("cpu", "1"), entry("ram", "1")])
        yield* Effect.yieldNow
        yield* stuck.batcher.add(agent, [entry("cpu", "2", 1), entry("other", "1")])
        yield* stuck.close
      }).pipe(whileLocked("workspace_agent_metadata"))
      stuck.check({ accepted: 4, stored: 0, merged: 1, lost: 3, pending: 0 })

      const mute = yield* start(
        { maxBatchSize: 2, shutdownTimeout: "3 seconds" },
        { publish: () => Effect.never, subscribe: () => Stream.never }
      )
      yield* mute.batcher.add(agent, [entry("cpu", "3", 2), entry("other", "1")])
      yield* mute.close
      mute.check({ accepted: 2, stored: 1, undeclared: 1, lost: 0, pending: 0 })
    })
  )
})
