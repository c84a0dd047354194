/**
 * The connection to the database, and its schema.
 *
 * - The layer is built when the database has answered. While it is not reachable or still starting, it is tried again for
 *   `startTimeout`. An error that no further attempt can mend (a wrong password, no such database, an encoding other than
 *   UTF8, bad settings) fails at once.
 * - Neither errors nor logs contain the password.
 */
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Data, type Duration, Effect, Layer, type Redacted, Schedule, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import type { SqlClient, SqlError } from "effect/sql"
import * as Sockets from "./internal/connection/sockets.ts"
import { parse, type Target } from "./internal/connection/target.ts"
import { migrate } from "./internal/migrate.ts"
import { PostgresError, rootOf } from "./internal/postgresError.ts"
import { codeOf } from "./internal/sqlCode.ts"

export { migrate } from "./internal/migrate.ts"
export { PostgresError } from "./internal/postgresError.ts"

export interface Options {
  /**
   * `postgresql://user:password@host:port/database`, with the parameters of libpq, several hosts, or a unix socket. A
   * parameter that is not supported is refused by its name. `PGPASSWORD`, `PGUSER`, `PGSSLMODE`, `PGSSLROOTCERT`,
   * `PGSSLCERT` and `PGSSLKEY` stand for those that the URL does not hold.
   */
  readonly url: Redacted.Redacted
  /** The size of the pool. The listener has a connection of its own. Default: 10. */
  readonly maxConnections?: number | undefined
  /** `false` for poolers that hand out another connection for each transaction. Default: `true`. */
  readonly prepare?: boolean | undefined
  /** The age at which a connection is replaced, so that a change of the server behind an address is followed. Default: 30 minutes. */
  readonly connectionTTL?: Duration.Input | undefined
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

/** A client on a database that has answered, for as long as the scope is open. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<PgClient.PgClient, PostgresError, Scope.Scope | Reactivity.Reactivity> {
  const target = yield* parse(options.url)
  const connect = Effect.fnUntraced(function* (ssl: Target["ssl"]) {
    const sockets = yield* Sockets.make(target.hosts, keepAliveMillis)
    const client = yield* PgClient.make(poolConfig(options, target, sockets, ssl))
    Sockets.register(client, sockets)
    yield* awaitAnswer(client, sockets, target, options.startTimeout ?? "30 seconds")
    return client
  })
  return yield* connect(target.ssl).pipe(
    Effect.catchIf(
      (error) => target.isTlsOptional && !(error instanceof PostgresError) && isTlsRefused(error),
      () => connect(false)
    ),
    Effect.mapError((cause) =>
      cause instanceof PostgresError
        ? cause
        : new PostgresError({
            reason: mayComeUp(cause) ? "unreachable" : "refused",
            detail: `cannot use the database ${target.display}: ${rootOf(cause)}`,
            cause
          })
    )
  )
})

/** The settings of a connection at `url`, for a connection outside the pool of a client. */
export const connectionConfig = Effect.fnUntraced(function* (
  url: Redacted.Redacted
): Effect.fn.Return<PgConnection.Config, PostgresError> {
  const target = yield* parse(url)
  const config = (ssl: Target["ssl"]) => ({ ...addressOf(target, ssl), ...target.hosts[0] })
  if (!target.isTlsOptional) return config(target.ssl)
  // an error that is not about TLS is one for the connection itself
  const isRefused = yield* PgConnection.make(config(target.ssl)).pipe(
    Effect.scoped,
    Effect.match({ onFailure: isTlsRefused, onSuccess: () => false })
  )
  return config(isRefused ? false : target.ssl)
})

// an idle connection whose other end is gone is noticed before a statement draws it
const keepAliveMillis = 30_000

const addressOf = (target: Target, ssl: Target["ssl"]) => ({
  database: target.database,
  username: target.username,
  password: target.password,
  ssl,
  startupOptions: target.options
})

const poolConfig = (options: Options, target: Target, sockets: Sockets.Sockets, ssl: Target["ssl"]) => ({
  ...addressOf(target, ssl),
  // both name the first host in traces and in certificates; sockets go to the present one
  ...target.hosts[0],
  stream: sockets.open,
  applicationName: target.applicationName ?? "metadata-batcher",
  maxConnections: options.maxConnections,
  prepare: options.prepare,
  connectionTTL: options.connectionTTL ?? "30 minutes",
  connectTimeout: target.connectTimeout ?? options.connectTimeout ?? "5 seconds"
})

interface Answer {
  readonly encoding: string
  readonly isReadOnly: boolean
}

const awaitAnswer = (
  sql: SqlClient.SqlClient,
  sockets: Sockets.Sockets,
  target: Target,
  startTimeout: Duration.Input
) =>
  sql<Answer>`
    SELECT
      current_setting('server_encoding') AS encoding,
      current_setting('transaction_read_only') = 'on' AS "isReadOnly"`.pipe(
    Effect.flatMap(([answer]) => {
      if (!target.isWritable || !answer!.isReadOnly) return Effect.succeed(answer!)
      sockets.leave()
      return Effect.fail(new NotWritable())
    }),
    Effect.tapError((error) =>
      mayComeUp(error) ? Effect.logWarning(`waiting for the database ${target.display}: ${rootOf(error)}`) : Effect.void
    ),
    Effect.retry({ while: mayComeUp, schedule: startSchedule(startTimeout) }),
    Effect.flatMap(({ encoding }) => requireUtf8(target.display, encoding))
  )

/** A server that accepts no writes, where one that does is wanted. */
class NotWritable extends Data.TaggedError("NotWritable") {
  override readonly message = "the server does not accept writes"
}

const isTlsRefused = (error: SqlError.SqlError | NotWritable): boolean =>
  error._tag === "SqlError" && error.message.includes("refused TLS")

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

/** Whether the same attempt can succeed a little later, when the database has started. */
const mayComeUp = (error: SqlError.SqlError | NotWritable): boolean => {
  if (error._tag === "NotWritable") return true
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
