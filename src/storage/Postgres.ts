/**
 * The connection to the database, and its schema.
 *
 * - A client is handed out when the database has answered. While it is not reachable yet, or still starting, it is asked
 *   again for `startTimeout`; whatever asking again cannot mend (a wrong password, no such database, bad settings) is an
 *   error at once.
 * - Neither errors nor logs contain the password.
 * - The schema is brought up to date in one transaction under a lock, so that processes that start together do it once.
 * - Migrations only add. A schema that is ahead of this code therefore serves it: that is what a rolling upgrade and a
 *   rollback look like, and it is worth a warning, not a refusal.
 */
import { PgClient } from "@effect/sql-pg"
import type { Duration } from "effect"
import { Effect, Layer, Redacted, Result, Schedule, Schema } from "effect"
import { Migrator, SqlClient, type SqlError } from "effect/sql"
import { codeOf } from "./internal/sqlCode.ts"
import { migrations } from "./Migrations.ts"

/**
 * - `url`: the URL cannot be understood.
 * - `unreachable`: the database did not answer within the time given.
 * - `refused`: it answered, and will not serve us as things are.
 * - `schema`: a migration failed; nothing of it remains.
 */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", {
  reason: Schema.Literals(["url", "unreachable", "refused", "schema"]),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}

export interface Options {
  /** `postgresql://user:password@host:port/database`, with the parameters of libpq. */
  readonly url: Redacted.Redacted
  /** The size of the pool. A listener holds one connection. Default: 10. */
  readonly maxConnections?: number | undefined
  /** `false` for poolers that hand out another connection for each transaction. Default: `true`. */
  readonly prepare?: boolean | undefined
  /** How long one attempt to connect may take. Default: 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long the database may be unreachable when the client is made. Default: 30 seconds. */
  readonly startTimeout?: Duration.Input | undefined
}

/** A client on a database that has answered. */
export const layer = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  PgClient.layerFrom(make(options))

/** The same on a database whose schema is up to date. */
export const layerMigrated = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  Layer.effectDiscard(migrate).pipe(Layer.provideMerge(layer(options)))

/** Brings the schema up to date and answers the names of the migrations that it took. */
export const migrate: Effect.Effect<ReadonlyArray<string>, PostgresError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const applied = yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })
    if (applied.length > 0) yield* Effect.logInfo(`Migrated the schema: ${applied.map(([, name]) => name).join(", ")}`)

    const ahead = yield* sql<{ name: string }>`
      SELECT name FROM ${sql(table)} WHERE migration_id > ${latest} ORDER BY migration_id`
    if (ahead.length > 0) {
      yield* Effect.logWarning(`The schema is ahead of this version: ${ahead.map(({ name }) => name).join(", ")}`)
    }
    return applied.map(([, name]) => name)
  }
).pipe(
  Effect.mapError(
    (cause) => new PostgresError({ reason: "schema", detail: `${cause.message}: ${rootOf(cause)}`, cause })
  )
)

// apart from the table of an application around this library, whose migrations have other numbers
const table = "metadata_batcher_migrations"

const latest = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

/** What went wrong underneath, in its own words; several failed addresses have none but a code in common. */
const rootOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return rootOf(error.cause)
  return error.message === "" && "code" in error ? String(error.code) : error.message
}

const make = Effect.fnUntraced(function* (options: Options) {
  const target = yield* describe(options.url)
  return yield* PgClient.make({
    url: options.url,
    applicationName: "metadata-batcher",
    maxConnections: options.maxConnections,
    prepare: options.prepare,
    // an idle connection whose other end is gone is noticed before somebody wants it
    keepAlive: "30 seconds",
    connectTimeout: options.connectTimeout ?? "5 seconds"
  }).pipe(
    Effect.tap((sql) =>
      sql`SELECT 1`.pipe(
        Effect.tapError((error) =>
          mayComeUp(error) ? Effect.logWarning(`Waiting for the database ${target}: ${rootOf(error)}`) : Effect.void
        ),
        Effect.retry({ while: mayComeUp, schedule: patience(options.startTimeout ?? "30 seconds") })
      )
    ),
    Effect.mapError(
      (cause) =>
        new PostgresError({
          reason: mayComeUp(cause) ? "unreachable" : "refused",
          detail: `cannot use the database ${target}: ${rootOf(cause)}`,
          cause
        })
    )
  )
})

const patience = (timeout: Duration.Input) =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(
    Schedule.upTo({ duration: timeout })
  )

/** The place without the credentials, wherever in the URL they are. */
const describe = (url: Redacted.Redacted) =>
  Result.match(
    Result.try(() => new URL(Redacted.value(url))),
    {
      onSuccess: ({ host, pathname, searchParams }) =>
        Effect.succeed(`${host}${searchParams.get("host") ?? ""}${pathname}`),
      // the cause quotes the URL
      onFailure: () =>
        Effect.fail(
          new PostgresError({
            reason: "url",
            detail: "the database URL is not of the form postgresql://user:password@host:port/database"
          })
        )
    }
  )

/** Whether the same attempt can succeed a little later, when whoever starts the database is done. */
const mayComeUp = (error: SqlError.SqlError): boolean => {
  const code = codeOf(error)
  return code === undefined ? /timed out|closed/i.test(error.message) : passing.has(code)
}

const passing: ReadonlySet<string> = new Set([
  // no server, no network or no name of it yet
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  // shutting down, recovering or starting; all connections taken
  "57P01",
  "57P02",
  "57P03",
  "53300"
])
