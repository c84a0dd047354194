/**
 * A database of its own for every suite: a copy of the migrated template, dropped when the suite's layer closes.
 */
import { PgClient } from "@effect/sql-pg"
import { inject } from "@effect/vitest"
import { Context, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"

export class TestDatabase extends Context.Service<
  TestDatabase,
  {
    readonly name: string
    /** For connections beside those of the layer's client. */
    readonly url: Redacted.Redacted
  }
>()("test/support/TestDatabase") {}

/**
 * A superuser's connection to the server itself, which all suites of a process share. A connection of its own would cost each
 * suite 10 ms as it makes its database, and again as it drops it.
 */
const server = ManagedRuntime.make(
  Layer.suspend(() => PgClient.layer({ url: Redacted.make(inject("postgresUrl")), maxConnections: 1 }))
)

const administer = (statement: string) =>
  Effect.promise(() => server.runPromise(SqlClient.SqlClient.use((sql) => sql.unsafe(statement))))

/**
 * A database that is dropped when the scope closes: a copy of `template`, which is empty for `template0`. Its files are
 * copied, which takes a third of the time that the log of each page takes.
 */
export const database = Effect.fnUntraced(function* (template: string) {
  const name = `test_${Crypto.randomBytes(8).toString("hex")}`
  yield* Effect.acquireRelease(administer(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`), () =>
    administer(`DROP DATABASE ${name} WITH (FORCE)`)
  )
  const url = new URL(inject("postgresUrl"))
  url.pathname = `/${name}`
  return { name, url: Redacted.make(url.href) }
})

/** The fresh database alone, for suites that make their own clients. */
export const layerDatabase = Layer.effect(
  TestDatabase,
  Effect.suspend(() => database(inject("postgresTemplate")))
)

/** A fresh database and a client on it. */
export const layer = Layer.unwrap(
  TestDatabase.use(({ url }) => Effect.succeed(PgClient.layer({ url, applicationName: "test" })))
).pipe(Layer.provideMerge(layerDatabase))
