import { assert, layer } from "@effect/vitest"
import { Array, Effect, Layer, Logger, References, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import type { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import { type MetadataRow, zeroTime } from "../../src/domain/Metadata.ts"

import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import { at, otherStore, row, samples, updateBatch } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import * as Server from "../support/server.ts"

/** Runs `body`, which has to use another client, while a transaction holds the samples of an agent. */
const whileLocked = <A, E, R>(agentId: AgentId, body: Effect.Effect<A, E, R>) =>
  SqlClient.SqlClient.use((sql) =>
    sql.withTransaction(
      Effect.andThen(sql`SELECT 1 FROM workspace_agent_metadata WHERE workspace_agent_id = ${agentId} FOR UPDATE`, body)
    )
  )

const environment = PgMetadataStore.layer().pipe(
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(Server.environment)
)

layer(environment, { excludeTestServices: true })("PgMetadataStore failures", (it) => {
  it.effect("writes nothing of a batch that is rejected", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Seed.agents(2, ["cpu"])

      yield* Effect.flip(updateBatch([row(a, "cpu", "1"), row(b, "cpu", "\0")]))

      assert.deepStrictEqual(yield* samples(a), { cpu: ["", "", zeroTime] })
    })
  )

  it.effect("rejects a batch with two rows for one key", () =>
    Effect.gen(function* () {
      const [agent] = yield* Seed.agents(1, ["cpu"])

      const error = yield* Effect.flip(updateBatch([row(agent, "cpu", "1"), row(agent, "cpu", "2", at(1))]))

      assert.strictEqual(error.reason, "rejected")
    })
  )

  it.effect("sends no statement for an empty batch, and is unavailable when there is no server", () =>
    Effect.gen(function* () {
      const store = yield* otherStore({}, { port: 1 })
      const [agent] = Seed.newIds(1)

      const nothing = yield* store.updateBatch([])
      const errors = yield* Effect.all([
        Effect.flip(store.updateBatch([row(agent, "cpu", "1")])),
        Effect.flip(store.read(agent))
      ])

      assert.deepStrictEqual(nothing, [])
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason),
        ["unavailable", "unavailable"]
      )
    })
  )

  it.effect("fails as cancelled when the server cancels the statement", () =>
    Effect.gen(function* () {
      const [agent] = yield* Seed.agents(1, ["cpu"])
      yield* updateBatch([row(agent, "cpu", "1")])
      const store = yield* otherStore({}, { startupParameters: { statement_timeout: "50" } })

      const error = yield* whileLocked(agent, Effect.flip(store.updateBatch([row(agent, "cpu", "2", at(1))])))

      assert.strictEqual(error.reason, "cancelled")
    })
  )

  it.effect("is unavailable after its own timeout, and leaves nothing running on the server", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [agent] = yield* Seed.agents(1, ["cpu"])
      yield* updateBatch([row(agent, "cpu", "1")])
      const store = yield* otherStore({ writeTimeout: "50 millis" }, { applicationName: "impatient" })

      const running = Effect.andThen(
        // or a transaction sees what it saw before
        sql`SELECT pg_stat_clear_snapshot()`,
        sql`SELECT query FROM pg_stat_activity WHERE application_name = 'impatient' AND state = 'active'`
      )
      const error = yield* whileLocked(
        agent,
        Effect.tap(
          Effect.flip(store.updateBatch([row(agent, "cpu", "2", at(1))])),
          // the server ends a cancelled statement a moment later
          Effect.repeat(running, { until: ({ length }) => length === 0, schedule: Schedule.spaced("10 millis") })
        )
      )

      assert.strictEqual(error.reason, "unavailable")
    })
  )

  it.effect("tries a batch again that the server gave up to resolve a deadlock", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [agent] = yield* Seed.agents(1, ["cpu"])
      yield* sql`CREATE SEQUENCE attempts`
      yield* sql`
        CREATE FUNCTION lose_twice() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF nextval('attempts') < 3 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
            RETURN NEW;
          END
        $$`
      yield* Effect.acquireRelease(
        sql`CREATE TRIGGER lose BEFORE INSERT ON workspace_agent_metadata FOR EACH ROW EXECUTE FUNCTION lose_twice()`,
        () => Effect.orDie(sql`DROP TRIGGER lose ON workspace_agent_metadata`)
      )

      assert.deepStrictEqual(yield* updateBatch([row(agent, "cpu", "1")]), [agent])
      assert.deepStrictEqual(yield* sql`SELECT last_value::int4 AS attempts FROM attempts`, [{ attempts: 3 }])
    })
  )

  it.effect("makes missing rows in the order of agent and key, whatever the order of the batch", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const keys = ["a", "b", "c"]
      const agents = (yield* Seed.agents(3, keys)).toSorted()
      yield* sql`CREATE TABLE made (place integer GENERATED ALWAYS AS IDENTITY, row text)`
      yield* sql`
        CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            INSERT INTO made (row) VALUES (new.workspace_agent_id || ' ' || new.key);
            RETURN new;
          END
        $$`
      yield* Effect.acquireRelease(
        sql`CREATE TRIGGER note BEFORE INSERT ON workspace_agent_metadata FOR EACH ROW EXECUTE FUNCTION note_row()`,
        () => Effect.orDie(sql`DROP TRIGGER note ON workspace_agent_metadata`)
      )
      const rows = agents.flatMap((agent) => keys.map((key) => ({ agent, key })))
      const shuffled = [4, 8, 1, 6, 0, 3, 7, 2, 5].map((place) => rows[place]!)

      // past the store, which sorts as well
      yield* sql`
        SELECT FROM complete_workspace_agent_metadata(
          ${shuffled.map(({ agent }) => agent)}::uuid[],
          ${shuffled.map(({ key }) => key)}::text[],
          ${shuffled.map(() => "value")}::text[],
          ${shuffled.map(() => "")}::text[],
          array_fill(now(), ARRAY[9]),
          now()
        )`

      const made = yield* sql<{ row: string }>`SELECT row FROM made ORDER BY place`
      assert.deepStrictEqual(
        made.map(({ row }) => row),
        rows.map(({ agent, key }) => `${agent} ${key}`)
      )
    })
  )

  it.effect("never makes two flushers of the same rows lock each other out", () =>
    Effect.gen(function* () {
      const keys = Array.makeBy(10, (n) => `key ${n}`)
      const agents = yield* Seed.agents(50, keys)
      const conflicts: Array<unknown> = []
      const logger = Logger.make(({ message }) => void conflicts.push(message))
      const rounds = (
        store: MetadataStore["Service"],
        order: (rows: ReadonlyArray<MetadataRow>) => Array<MetadataRow>
      ) =>
        Effect.forEach(Array.range(1, 40), (round) =>
          store.updateBatch(order(agents.flatMap((agent) => keys.map((key) => row(agent, key, `${round}`, at(round))))))
        )

      yield* Effect.all(
        [rounds(yield* otherStore({}), Array.fromIterable), rounds(yield* otherStore({}), Array.reverse)],
        { concurrency: "unbounded" }
      ).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "Debug"))

      assert.deepStrictEqual(conflicts, [])
    })
  )
})
