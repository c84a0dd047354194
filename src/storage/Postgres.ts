/**
 * The connection to the database, and its schema.
 *
 * - The layer is built when the database has answered. While it is not reachable or still starting, it is tried again for
 *   `startTimeout`. An error that no further attempt can mend (a wrong password, no such database, an encoding other than
 *   UTF8, bad settings) fails at once.
 * - Neither errors nor logs contain the password.
 */
import { PgClient } from "@effect/sql-pg"
import type { Duration } from "effect"
import { Effect, Layer, Redacted, Result, Schedule } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { migrate } from "./internal/migrate.ts"
import { PostgresError, rootOf } from "./internal/postgresError.ts"
import { codeOf } from "./internal/sqlCode.ts"

export { migrate } from "./internal/migrate.ts"
export { PostgresError } from "./internal/postgresError.ts"

export interface Options {
  /** `postgresql://user:password@host:port/database`, with the parameters of libpq. */
  readonly url: Redacted.Redacted
  /** The size of the pool. The listener has a connection of its own. Default: 10. */
  readonly maxConnections?: number | undefined
  /** `false` for poolers that hand out another connection for each transaction. Default: `true`. */
  readonly prepare?: boolean | undefined
  /** The longest time of one attempt to connect. Default: 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** The longest time that the database may be unreachable at the start. Default: 30 seconds. */
  readonly startTimeout?: Duration.Input | undefined
}

/** A client on a database that has answered. */
export const layer = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  PgClient.layerFrom(make(options))

/** The same on a database whose schema is up to date. */
export const layerMigrated = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  Layer.effectDiscard(migrate).pipe(Layer.provideMerge(layer(options)))

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
      sql<{ encoding: string }>`SELECT current_setting('server_encoding') AS encoding`.pipe(
        Effect.tapError((error) =>
          mayComeUp(error) ? Effect.logWarning(`waiting for the database ${target}: ${rootOf(error)}`) : Effect.void
        ),
        Effect.retry({ while: mayComeUp, schedule: startSchedule(options.startTimeout ?? "30 seconds") }),
        Effect.flatMap(([row]) => requireUtf8(target, row!.encoding))
      )
    ),
    Effect.mapError((cause) =>
      cause instanceof PostgresError
        ? cause
        : new PostgresError({
            reason: mayComeUp(cause) ? "unreachable" : "refused",
            detail: `cannot use the database ${target}: ${rootOf(cause)}`,
            cause
          })
    )
  )
})

/** Other encodings cannot hold every character, and lose or reject values. */
const requireUtf8 = (target: string, encoding: string) =>
  encoding === "UTF8"
    ? Effect.void
    : Effect.fail(
        new PostgresError({
          reason: "refused",
          detail:
            `the database ${target} has the encoding ${encoding}, which cannot hold every character: ` +
            `create one with ENCODING 'UTF8' TEMPLATE template0 and set DATABASE_URL to it`
        })
      )

const startSchedule = (timeout: Duration.Input) =>
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
