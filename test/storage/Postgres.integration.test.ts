import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Layer, Logger, Queue, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import { migrations } from "../../src/storage/Migrations.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as Postgres from "../../src/storage/Postgres.ts"
import * as Crypto from "node:crypto"
import { dataFolder } from "../support/folder.ts"
import * as PgProxy from "../support/PgProxy.ts"
import { database, layerDatabase, TestDatabase } from "../support/Postgres.ts"

/** Runs `body` with a client of its own, as another process would. */
const connect = <A, E>(options: Postgres.Options, body: Effect.Effect<A, E, SqlClient.SqlClient>) =>
  Effect.provide(body, Layer.fresh(Postgres.layer(options)))

const migrate = (url: Redacted.Redacted) => connect({ url }, Postgres.migrate)

const query = (url: Redacted.Redacted, statement: string) =>
  connect(
    { url },
    SqlClient.SqlClient.use((sql) => sql.unsafe(statement))
  )

const password = "a secret word"

/** The URL of the suite's database with a password of ours, and with other parts replaced. */
const urlWith = (parts: Partial<Pick<URL, "host" | "pathname" | "protocol">>) =>
  TestDatabase.use(({ url }) =>
    Effect.succeed(Redacted.make(Object.assign(new URL(Redacted.value(url)), { password, ...parts }).href))
  )

/** Everything that a log or a crash report would show of an error. */
const everything = (error: unknown) => `${Cause.pretty(Cause.fail(error))} ${JSON.stringify(error)}`

const logTo = (log: (message: string) => void) =>
  Effect.provide(Logger.layer([Logger.make(({ message }) => log(String(message)))]))

const names = Object.keys(migrations).map((name) => name.replace(/^\d+_/, ""))

layer(Layer.merge(layerDatabase, NodeFileSystem.layer), { excludeTestServices: true })("Postgres", (it) => {
  it.effect("migrates once when several processes start together", () =>
    Effect.gen(function* () {
      const { url } = yield* database("template0")

      const applied = yield* Effect.all([migrate(url), migrate(url), migrate(url), migrate(url), migrate(url)], {
        concurrency: "unbounded"
      })

      assert.deepStrictEqual(
        applied.filter((names) => names.length > 0),
        [names]
      )
      assert.deepStrictEqual(yield* migrate(url), [])
    })
  )

  it.effect("leaves nothing of migrations when one of them fails, and names it", () =>
    Effect.gen(function* () {
      const { url } = yield* database("template0")
      yield* query(url, "CREATE TABLE workspace_agents ()")

      const error = yield* Effect.flip(migrate(url))

      assert.strictEqual(error.reason, "schema")
      assert.include(error.message, `Migration "3_workspace_agents" failed`)
      assert.include(error.message, `relation "workspace_agents" already exists`)
      assert.deepStrictEqual(yield* query(url, "SELECT to_regclass('organizations') AS organizations"), [
        { organizations: null }
      ])
    })
  )

  it.effect("replaces a function whose text differs, also one with another result, and leaves it alone otherwise", () =>
    Effect.gen(function* () {
      const { url } = yield* database("template0")
      const signature = PgMetadataStore.definitions[0]!.signature
      const body = query(url, `SELECT prosrc FROM pg_proc WHERE oid = '${signature}'::regprocedure`)
      yield* migrate(url)
      const installed = yield* body
      const logs: Array<string> = []

      yield* migrate(url).pipe(logTo((message) => logs.push(message)))
      assert.deepStrictEqual(logs, [])

      yield* query(url, `DROP FUNCTION ${signature}`)
      yield* query(
        url,
        `CREATE FUNCTION ${signature} RETURNS TABLE (updated integer, changed_agent_ids uuid[])
         LANGUAGE sql AS $$ SELECT 0, '{}'::uuid[] $$`
      )
      yield* Effect.all([migrate(url), migrate(url), migrate(url)], { concurrency: "unbounded" }).pipe(
        logTo((message) => logs.push(message))
      )

      assert.deepStrictEqual(logs, ["replaced functions of the schema"])
      assert.deepStrictEqual(yield* body, installed)
    })
  )

  it.effect("names the session that a migration waits for [FT-27]", () =>
    Effect.gen(function* () {
      const { url } = yield* database("template0")
      yield* migrate(url)
      const waits = yield* Deferred.make<string>()

      const message = yield* connect(
        { url },
        SqlClient.SqlClient.use((sql) =>
          Effect.gen(function* () {
            yield* sql`LOCK TABLE metadata_batcher_migrations IN ACCESS EXCLUSIVE MODE`
            const migration = yield* migrate(url).pipe(
              logTo((message) => void Deferred.doneUnsafe(waits, Effect.succeed(message))),
              Effect.forkChild
            )
            const message = yield* Deferred.await(waits)
            yield* Fiber.interrupt(migration)
            return message
          }).pipe(sql.withTransaction)
        )
      )

      assert.match(message, /^a migration waits for process \d+ \(metadata-batcher, idle in transaction, \d+ s\)$/)
    })
  )

  it.effect("rejects a database that cannot hold every character, and says what to do [FT-25]", () =>
    Effect.gen(function* () {
      const name = `latin_${Crypto.randomUUID().replaceAll("-", "")}`
      const { url } = yield* TestDatabase
      yield* Effect.acquireRelease(
        query(url, `CREATE DATABASE ${name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'`),
        () => Effect.orDie(query(url, `DROP DATABASE ${name}`))
      )

      const elsewhere = Redacted.make(Redacted.value(url).replace(/\/\w+$/, `/${name}`))

      const error = yield* Effect.flip(query(elsewhere, "SELECT 1"))

      assert.strictEqual(error.reason, "refused")
      assert.include(error.message, "has the encoding LATIN1")
      assert.include(error.message, "ENCODING 'UTF8'")
    })
  )

  it.effect("serves a schema that is ahead of it, with a warning that names what it does not know", () =>
    Effect.gen(function* () {
      const { url } = yield* database("template0")
      yield* migrate(url)
      yield* query(url, "INSERT INTO metadata_batcher_migrations (migration_id, name) VALUES (9999, 'from_the_future')")
      const logs: Array<string> = []

      const applied = yield* migrate(url).pipe(logTo((message) => logs.push(message)))

      assert.deepStrictEqual(applied, [])
      assert.deepStrictEqual(logs, ["the schema is ahead of this version: from_the_future"])
    })
  )

  it.effect("names itself to the database", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase

      assert.deepStrictEqual(yield* query(url, "SELECT current_setting('application_name') AS name"), [
        { name: "metadata-batcher" }
      ])
    })
  )

  it.effect("prepares statements unless told not to", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const prepared = SqlClient.SqlClient.use((sql) =>
        Effect.andThen(sql`SELECT 1`, sql`SELECT count(*)::int4 > 0 AS some FROM pg_prepared_statements`)
      )

      assert.deepStrictEqual(yield* connect({ url, maxConnections: 1 }, prepared), [{ some: true }])
      assert.deepStrictEqual(yield* connect({ url, maxConnections: 1, prepare: false }, prepared), [{ some: false }])
    })
  )

  it.effect("fails at once for a wrong password and for a database that does not exist", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const elsewhere = Redacted.make(Redacted.value(url).replace(/\/\w+$/, "/nowhere"))

      const [wrongPassword, noDatabase] = yield* Effect.all([
        Effect.flip(query(yield* urlWith({}), "SELECT 1")),
        Effect.flip(query(elsewhere, "SELECT 1"))
      ])

      assert.deepInclude(wrongPassword, { _tag: "PostgresError", reason: "refused" })
      assert.include(wrongPassword.message, "password authentication failed")
      assert.deepInclude(noDatabase, { _tag: "PostgresError", reason: "refused" })
      assert.include(noDatabase.message, `database "nowhere" does not exist`)
    })
  )

  it.effect("makes migrations again whose connection breaks [FT-73]", () =>
    Effect.gen(function* () {
      const fresh = yield* database("template0")
      const applied = yield* Effect.gen(function* () {
        const { down, statements, url } = yield* PgProxy.PgProxy
        const migrating = yield* Effect.forkChild(migrate(url))
        let seen = ""
        while (!seen.includes("CREATE TABLE users")) seen = yield* Queue.take(statements)
        yield* down(Effect.void)
        return yield* Fiber.join(migrating)
      }).pipe(Effect.provide(Layer.provide(PgProxy.layer, Layer.succeed(TestDatabase, fresh))))

      assert.deepStrictEqual(applied, names)
      assert.deepStrictEqual(yield* migrate(fresh.url), [])
    })
  )

  it.effect("gives up on a database that does not respond in time, and names it", () =>
    Effect.gen(function* () {
      const url = yield* urlWith({ host: "localhost:1" })
      const logs: Array<string> = []

      const error = yield* Effect.flip(connect({ url, startTimeout: "150 millis" }, Postgres.migrate)).pipe(
        logTo((message) => logs.push(message))
      )

      assert.strictEqual(error.reason, "unreachable")
      assert.match(error.message, /localhost:1\/test_\w+: .*ECONNREFUSED/)
      assert.isAtLeast(logs.length, 2)
      assert.include(logs[0], "waiting for the database localhost:1/test_")
    })
  )

  it.effect("waits for a database that is only starting", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataFolder
      const { port, url } = yield* Effect.scoped(EmbeddedPostgres.make({ dataDir, settings: { fsync: "off" } }))
      const waiting = yield* Deferred.make<void>()

      const connected = yield* query(url, "SELECT 1 AS one").pipe(
        logTo((message) => {
          if (message.startsWith("waiting")) Deferred.doneUnsafe(waiting, Effect.void)
        }),
        Effect.forkChild
      )
      yield* Deferred.await(waiting)
      yield* EmbeddedPostgres.make({ dataDir, port, settings: { fsync: "off" } })

      assert.deepStrictEqual(yield* Fiber.join(connected), [{ one: 1 }])
    })
  )

  it.effect("never shows the password, whatever the problem of the URL", () =>
    Effect.gen(function* () {
      const urls = [
        yield* urlWith({}),
        yield* urlWith({ host: "127.0.0.1:1" }),
        Redacted.make(`postgresql://user:${password}@:not a url`),
        Redacted.make(`postgresql://user:${password}@127.0.0.1:1/x?sslmode=what`),
        Redacted.make(`mysql://user:${password}@127.0.0.1:1/x`),
        Redacted.make(`postgresql://user@127.0.0.1:1/x?password=${password}`)
      ]
      const logs: Array<string> = []

      const errors = yield* Effect.forEach(urls, (url) =>
        Effect.flip(connect({ url, startTimeout: 0 }, Postgres.migrate)).pipe(logTo((message) => logs.push(message)))
      )

      assert.deepStrictEqual(
        errors.map(({ reason }) => reason),
        ["refused", "unreachable", "url", "url", "url", "unreachable"]
      )
      for (const text of [...errors.map(everything), ...logs]) {
        assert.notInclude(text, password)
        assert.notInclude(text, encodeURIComponent(password))
      }
    })
  )
})
