/**
 * Samples when their whole server crashes or restarts. It has to be one of these tests' own: transactions in other databases delay the
 * reuse of space in this one, and nobody else wants a server that crashes.
 */
import { assert, layer } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { zeroTime } from "../../src/domain/Metadata.ts"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as PostgresClient from "../../src/storage/Postgres.ts"
import { dataFolder } from "../support/folder.ts"
import { at, noon, row, samples, updateBatch } from "../support/metadata.ts"
import * as Seed from "../support/seed.ts"
import * as Server from "../support/server.ts"

const server = Layer.unwrap(
  Effect.map(dataFolder, (dataDir) => EmbeddedPostgres.layer({ dataDir, settings: Server.settings }))
).pipe(Layer.provideMerge(Server.environment))

/** A store over one connection, another one each time that it is provided. */
const store = PgMetadataStore.layer().pipe(
  Layer.provideMerge(
    Layer.unwrap(
      EmbeddedPostgres.EmbeddedPostgres.use(({ url }) =>
        Effect.succeed(PostgresClient.layerMigrated({ url, maxConnections: 1 }))
      )
    )
  ),
  Layer.fresh
)

layer(server, { excludeTestServices: true })("PgMetadataStore on a server", (it) => {
  it.effect("updates nearly all rows without touching an index", () =>
    Effect.gen(function* () {
      const keys = Array.makeBy(15, (n) => `key ${n}`)
      const agents = yield* Seed.agents(20, keys)
      const sql = yield* SqlClient.SqlClient
      const counts = Effect.andThen(
        sql`SELECT pg_stat_force_next_flush()`,
        sql<{ all: bigint; hot: bigint }>`
          SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables
          WHERE relname = 'workspace_agent_metadata'`
      ).pipe(Effect.map(([counts]) => counts!))
      const before = yield* counts

      yield* Effect.forEach(Array.range(0, 50), (millis) =>
        updateBatch(agents.flatMap((agent) => keys.map((key) => row(agent, key, `value ${millis}`, at(millis)))))
      )

      const after = yield* counts
      assert.strictEqual(after.all - before.all, 15_000n)
      assert.isAbove(Number(after.hot - before.hot), 0.95 * 15_000)
    }).pipe(Effect.provide(store))
  )

  it.effect("goes on after a crash of the database that emptied the table of values", () =>
    Effect.gen(function* () {
      const agent = yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [agent] = yield* Seed.agents(1, ["cpu"])
        yield* updateBatch([row(agent, "cpu", "lost")])
        const [backend] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
        const connected = yield* Deferred.make<void>()
        const bystander = yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* Deferred.succeed(connected, undefined)
          yield* Effect.flip(sql`SELECT pg_sleep(60)`)
        }).pipe(Effect.provide(store), Effect.forkChild)
        yield* Deferred.await(connected)
        process.kill(backend!.pid, "SIGKILL")
        // the postmaster ends other sessions once it has noticed the crash, and admits none before it has recovered
        yield* Fiber.join(bystander)
        return agent
      }).pipe(Effect.provide(store))

      const [before, changed, after] = yield* Effect.all([
        samples(agent),
        updateBatch([row(agent, "cpu", "found")]),
        samples(agent)
      ]).pipe(Effect.provide(store))

      assert.deepStrictEqual(before, { cpu: ["", "", zeroTime] })
      assert.deepStrictEqual(changed, [agent])
      assert.deepStrictEqual(after, { cpu: ["found", "", noon] })
    })
  )
})
