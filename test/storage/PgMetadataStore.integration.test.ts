import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { type MetadataRow, zeroTime } from "../../src/domain/Metadata.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import { at, noon, read, row, samples, updateBatch } from "../support/metadata.ts"
import { metadataStoreSuite } from "../metadata/storeSuite.ts"
import * as DeclaredAgents from "../support/declaredAgents.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const environment = PgMetadataStore.layer().pipe(
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(Reactivity.layer)
)

layer(DeclaredAgents.layer.pipe(Layer.provideMerge(environment)), { excludeTestServices: true })(
  "PgMetadataStore",
  (it) => {
    metadataStoreSuite(it)

    it.effect("ignores a key that is not declared, and an agent that is not known [SQ-02]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const [stranger] = Seed.newIds(1)

        const changed = yield* updateBatch([row(agent, "disk", "1"), row(stranger, "cpu", "1")])

        assert.deepStrictEqual(changed, [])
        assert.deepStrictEqual(
          yield* sql`
          SELECT key FROM workspace_agent_metadata WHERE workspace_agent_id = ${agent} OR workspace_agent_id = ${stranger}`,
          []
        )
      })
    )

    it.effect("makes a row that is missing, and locks none that is there for it", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [agent] = yield* Seed.agents(1, ["cpu", "disk", "ram"])
        yield* updateBatch([row(agent, "cpu", "1"), row(agent, "disk", "1", at(2))])

        const changed = yield* updateBatch([
          row(agent, "cpu", "2", at(1)),
          row(agent, "disk", "2", at(1)),
          row(agent, "ram", "2", at(1))
        ])

        assert.deepStrictEqual(changed, [agent])
        assert.deepStrictEqual(yield* samples(agent), {
          cpu: ["2", "", at(1)],
          disk: ["1", "", at(2)],
          ram: ["2", "", at(1)]
        })
        assert.deepStrictEqual(
          yield* sql`
          SELECT key FROM workspace_agent_metadata WHERE workspace_agent_id = ${agent} AND xmax::text <> '0'`,
          []
        )
      })
    )

    it.effect("changes value, error and time and nothing else [SQ-03]", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const before = yield* read(agent)

        yield* updateBatch([row(agent, "cpu", "1", noon, "late")])

        assert.deepStrictEqual(before, [
          {
            key: "cpu",
            displayName: "CPU",
            script: "echo cpu",
            interval: Duration.nanos(10_000_000_000n),
            timeout: Duration.nanos(1_500_000_000n),
            displayOrder: 1,
            value: "",
            error: "",
            collectedAt: zeroTime
          }
        ])
        assert.deepStrictEqual(yield* read(agent), [{ ...before[0]!, value: "1", error: "late", collectedAt: noon }])
      })
    )

    it.effect("reads many agents in one statement, whatever their number, and leaves out unknown ones", () =>
      Effect.gen(function* () {
        const { url } = yield* Postgres.TestDatabase
        const sql = yield* PgClient.make({ url, maxConnections: 1 })
        const { readMany } = yield* Effect.provideService(PgMetadataStore.make(), SqlClient.SqlClient, sql)
        const [a, b, silent] = yield* Seed.agents(3, ["cpu", "ram"])
        const [stranger] = Seed.newIds(1)
        yield* updateBatch([row(a, "cpu", "1"), row(b, "ram", "2", at(1), "late")])

        const one = yield* readMany([b])
        const many = yield* readMany([a, stranger, silent, b])

        assert.deepStrictEqual(one, new Map([[b, yield* read(b)]]))
        assert.deepStrictEqual(
          many,
          new Map(
            yield* Effect.forEach([a, silent, b], (agent) => Effect.map(read(agent), (rows) => [agent, rows] as const))
          )
        )
        const statement = "%LEFT JOIN workspace_agent_metadata %"
        const prepared = yield* sql`
        SELECT count(*)::int4 AS count FROM pg_prepared_statements WHERE statement LIKE ${statement}`
        assert.deepStrictEqual(prepared, [{ count: 1 }])
      })
    )

    it.effect("reads by an index, however many agents there are and whatever the planner estimates", () =>
      Effect.gen(function* () {
        const { url } = yield* Postgres.TestDatabase
        const sql = yield* PgClient.make({ url, maxConnections: 1 })
        const { readMany } = yield* Effect.provideService(PgMetadataStore.make(), SqlClient.SqlClient, sql)
        const count: number = 1_000
        const agents = yield* Seed.agents(count, ["cpu", "ram"])
        yield* sql`
        INSERT INTO workspace_agent_metadata (workspace_agent_id, key)
        SELECT workspace_agent_id, key FROM workspace_agent_metadata_descriptions ON CONFLICT DO NOTHING`
        // earlier scans that the connection has not handed over would count with those of the transaction
        yield* sql`SELECT pg_stat_force_next_flush()`

        const scans = yield* sql.withTransaction(
          Effect.gen(function* () {
            for (const size of [1, 20, 500]) assert.strictEqual((yield* readMany(agents.slice(0, size))).size, size)
            return yield* sql`
            SELECT relname, seq_scan::int4 AS scans, idx_scan > 0 AS "isRead" FROM pg_stat_xact_user_tables
            WHERE relname LIKE 'workspace_agent_metadata%' ORDER BY relname`
          })
        )

        assert.deepStrictEqual(scans, [
          { relname: "workspace_agent_metadata", scans: 0, isRead: true },
          { relname: "workspace_agent_metadata_descriptions", scans: 0, isRead: true }
        ])
      })
    )

    it.effect("keeps values in an unlogged table, one per agent and key, and loses them with the agent [SQ-06]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [agent] = yield* Seed.agents(1, ["cpu"])
        yield* updateBatch([row(agent, "cpu", "1")])

        const tables = yield* sql`
        SELECT relname AS name, relpersistence::text AS persistence, pg_get_constraintdef(pg_constraint.oid) AS key
        FROM pg_class JOIN pg_constraint ON conrelid = pg_class.oid AND contype = 'p'
        WHERE relname LIKE 'workspace_agent_metadata%' ORDER BY relname`
        yield* sql`DELETE FROM workspace_agents WHERE id = ${agent}`
        const left = yield* sql`
        SELECT key FROM workspace_agent_metadata WHERE workspace_agent_id = ${agent}
        UNION ALL SELECT key FROM workspace_agent_metadata_descriptions WHERE workspace_agent_id = ${agent}`

        const key = "PRIMARY KEY (workspace_agent_id, key)"
        assert.deepStrictEqual(tables, [
          { name: "workspace_agent_metadata", persistence: "u", key },
          { name: "workspace_agent_metadata_descriptions", persistence: "p", key }
        ])
        assert.deepStrictEqual(left, [])
      })
    )

    it.effect("takes keys of 127 characters and values, errors and scripts of 65 535, and no more [SQ-07]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const key = "k".repeat(127)
        const text = "é".repeat(65_535)
        const [agent] = yield* Seed.agents(1, [key])

        yield* updateBatch([row(agent, key, text, noon, text)])
        yield* sql`UPDATE workspace_agent_metadata_descriptions SET script = ${text} WHERE workspace_agent_id = ${agent}`
        const refusals = yield* Effect.all([
          Effect.flip(updateBatch([row(agent, key, `${text}x`, at(1))])),
          Effect.flip(updateBatch([row(agent, key, "", at(1), `${text}x`)]))
        ])
        const declarations = yield* Effect.all([
          Effect.flip(Seed.agents(1, [`${key}k`])),
          Effect.flip(sql`UPDATE workspace_agent_metadata_descriptions SET script = ${`${text}x`}`)
        ])

        const [stored] = yield* read(agent)
        assert.deepStrictEqual([stored?.value, stored?.error, stored?.script], [text, text, text])
        assert.deepStrictEqual(
          refusals.map(({ reason }) => reason),
          ["rejected", "rejected"]
        )
        assert.strictEqual(declarations.length, 2)
      })
    )

    it.effect("gives a value that was never collected empty texts and the first instant of year 1 [SQ-07]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const unstored = yield* samples(agent)
        yield* sql`INSERT INTO workspace_agent_metadata (workspace_agent_id, key) VALUES (${agent}, 'cpu')`

        assert.deepStrictEqual(unstored, { cpu: ["", "", zeroTime] })
        assert.deepStrictEqual(yield* samples(agent), unstored)
      })
    )

    it.effect("stores any text as it is, and rejects the one character that text cannot hold", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["cpu"])
        const text = `"{}\\,NULL' ünïcödé 😀 \u0001\n`

        yield* updateBatch([row(agent, "cpu", text)])
        const error = yield* Effect.flip(updateBatch([row(agent, "cpu", "a\0b", at(1))]))

        assert.strictEqual(error.reason, "rejected")
        assert.deepStrictEqual(yield* samples(agent), { cpu: [text, "", noon] })
      })
    )

    it.effect("prepares one statement for batches of every size", () =>
      Effect.gen(function* () {
        const [agent] = yield* Seed.agents(1, ["a", "b", "c"])
        const { url } = yield* Postgres.TestDatabase
        const sql = yield* PgClient.make({ url, maxConnections: 1 })
        const store = yield* Effect.provideService(PgMetadataStore.make(), SqlClient.SqlClient, sql)

        yield* store.updateBatch([row(agent, "a", "1")])
        yield* store.updateBatch([row(agent, "a", "2", at(1)), row(agent, "b", "2"), row(agent, "c", "2")])

        const statement = "%FROM complete_workspace_agent_metadata(%"
        const prepared = yield* sql`
        SELECT count(*)::int4 AS count FROM pg_prepared_statements WHERE statement LIKE ${statement}`
        assert.deepStrictEqual(prepared, [{ count: 1 }])
      })
    )

    it.effect.prop(
      "stores the newest sample of each key, whatever the batches",
      {
        batches: Schema.Array(
          Schema.Array(
            Schema.Struct({
              agent: Schema.Literals([0, 1]),
              key: Schema.Literals(["a", "b", "undeclared"]),
              value: Schema.String,
              millis: Schema.Literals([0, 1, 2, 3])
            })
          )
        )
      },
      ({ batches }) =>
        Effect.gen(function* () {
          const agents = yield* Seed.agents(2, ["a", "b"])
          const model = new Map<string, MetadataRow>()

          for (const batch of batches) {
            const rows = [
              ...new Map(
                batch.map(({ agent, key, millis, value }) => [
                  `${agent} ${key}`,
                  row(agents[agent]!, key, value.replaceAll("\0", "").toWellFormed(), at(millis))
                ])
              ).values()
            ]
            const expected = rows.filter(({ agentId, collectedAt, key }) => {
              const stored = model.get(`${agentId} ${key}`)
              return (
                key !== "undeclared" &&
                (stored === undefined || !DateTime.isGreaterThan(stored.collectedAt, collectedAt))
              )
            })
            for (const row of expected) model.set(`${row.agentId} ${row.key}`, row)

            assert.sameMembers([...(yield* updateBatch(rows))], [...new Set(expected.map(({ agentId }) => agentId))])
          }

          for (const agent of agents) {
            const stored = yield* samples(agent)
            for (const key of ["a", "b"]) {
              const { collectedAt, value } = model.get(`${agent} ${key}`) ?? row(agent, key, "", zeroTime)
              assert.deepStrictEqual(stored[key], [value, "", collectedAt])
            }
          }
        }),
      { arbitrary: { runs: 40 } }
    )
  }
)
