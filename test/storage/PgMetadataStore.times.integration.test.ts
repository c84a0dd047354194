/** Times that are wrong, and the outcomes of rows. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Metric, Record } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"
import * as PgClock from "../../src/storage/PgClock.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import { isolated } from "../pubsub/support.ts"
import { at, noon, read, row, samples, updateBatch } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

layer(PgMetadataStore.layer().pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgMetadataStore",
  (it) => {
    it.effect("counts each row of a batch once, as stored, stale or undeclared [FT-15]", () =>
      Effect.gen(function* () {
        const [a, b] = yield* Seed.agents(2, ["cpu", "ram", "disk"])
        const sql = yield* SqlClient.SqlClient
        yield* updateBatch([row(a, "cpu", "newer"), row(b, "cpu", "older")])
        yield* sql`DELETE FROM workspace_agent_metadata WHERE workspace_agent_id = ${a} AND key = 'disk'`

        const counts = yield* Effect.gen(function* () {
          yield* updateBatch([
            row(a, "cpu", "late", at(-1)),
            row(a, "disk", "missing"),
            row(a, "nothing of the kind", "1"),
            row(b, "cpu", "newest", at(1)),
            row(b, "neither", "1")
          ])
          yield* updateBatch([row(a, "ram", "1"), row(b, "ram", "1")])
          return yield* Effect.all(Record.map(MetadataStoreMetrics.rows, (metric) => Metric.value(metric)))
        }).pipe(isolated)

        assert.deepStrictEqual(
          Record.map(counts, ({ count }) => count),
          { stored: 4, stale: 1, undeclared: 2 }
        )
        assert.deepStrictEqual((yield* samples(a)).disk, ["missing", "", noon])
      })
    )

    it.effect("stores a time that is ahead of the database as the present time, and counts it [FT-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const now = yield* DateTime.now

        const ahead = yield* Effect.gen(function* () {
          yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { days: 30 }))])
          yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { days: 30 }))])
          return yield* Metric.value(MetadataStoreMetrics.ahead)
        }).pipe(isolated)

        assert.strictEqual(ahead.count, 2)
        const [stored] = yield* read(agent)
        assert.isBelow(Math.abs(DateTime.toEpochMillis(stored!.collectedAt) - DateTime.toEpochMillis(now)), 30_000)
      })
    )

    it.effect("keeps the order of rows whose times are ahead and of those that are not [FT-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const now = yield* DateTime.now
        const aheadBy = (seconds: number) => DateTime.add(now, { days: 30, seconds })
        yield* updateBatch([row(agent, "cpu", "newer", now)])

        // the clock of its replica is thirty days ahead: the row is five seconds old when it is written
        yield* Effect.andThen(
          TestClock.setTime(DateTime.toEpochMillis(aheadBy(5))),
          updateBatch([row(agent, "cpu", "older", aheadBy(0))])
        ).pipe(Effect.provide(TestClock.layer()))

        assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
      })
    )

    it.effect("keeps the order of rows that are pending while the clock of their replica is set back [FT-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const now = yield* DateTime.now
        // the row is five seconds old by the clock as it was, and an hour ahead of the clock as it is
        const old = DateTime.add(now, { hours: 1 })
        const isAhead = (time: number) => time === DateTime.toEpochMillis(old)
        const clockThatWentBack = (time: number) =>
          Effect.succeed(DateTime.toEpochMillis(isAhead(time) ? DateTime.add(old, { seconds: 5 }) : now))
        yield* updateBatch([row(agent, "cpu", "newer", now)])

        yield* Effect.gen(function* () {
          const store = yield* PgMetadataStore.make()
          yield* store.updateBatch([row(agent, "cpu", "older", old)])
        }).pipe(Effect.provideService(PgClock.PresentFor, clockThatWentBack))

        assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
      })
    )

    it.effect("keeps the newer of two rows whose times are both ahead of the database [FT-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const sql = yield* SqlClient.SqlClient
        const now = yield* DateTime.now
        yield* updateBatch([row(agent, "cpu", "newer")])
        yield* sql`UPDATE workspace_agent_metadata SET collected_at = now() + interval '1 hour' WHERE workspace_agent_id = ${agent}`

        yield* updateBatch([row(agent, "cpu", "older", DateTime.add(now, { minutes: 59 }))])

        assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
      })
    )

    it.effect("writes over a stored time that is ahead of the database, and counts the repair [FT-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu", "ram"])
        const sql = yield* SqlClient.SqlClient
        yield* updateBatch([row(agent, "cpu", "0")])
        yield* sql`
        UPDATE workspace_agent_metadata SET value = 'frozen', collected_at = now() + interval '30 days'
        WHERE workspace_agent_id = ${agent} AND key = 'cpu'`

        const [changed, counts] = yield* Effect.all([
          updateBatch([row(agent, "cpu", "1"), row(agent, "ram", "1")]),
          Effect.all({
            ahead: Metric.value(MetadataStoreMetrics.ahead),
            stale: Metric.value(MetadataStoreMetrics.rows.stale)
          })
        ]).pipe(isolated)

        assert.deepStrictEqual(changed, [agent])
        assert.deepStrictEqual(yield* samples(agent), { cpu: ["1", "", noon], ram: ["1", "", noon] })
        assert.deepStrictEqual([counts.ahead.count, counts.stale.count], [1, 0])
      })
    )

    it.effect("keeps a stored time that is ahead of a row by less than a minute", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const now = yield* DateTime.now
        yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { seconds: 20 }))])

        assert.deepStrictEqual(yield* updateBatch([row(agent, "cpu", "2", now)]), [])
        assert.deepStrictEqual((yield* samples(agent)).cpu, ["1", "", DateTime.add(now, { seconds: 20 })])
      })
    )
  }
)
