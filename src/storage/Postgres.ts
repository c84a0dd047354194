/**
 * Connects to the database and brings its schema up to date.
 *
 * - The layer is built as soon as the database responds. While the database is unreachable or still starting, the layer
 *   tries again for `startTimeout`. An error that another attempt cannot fix (a wrong password, no such database, an
 *   encoding other than UTF8, bad settings) fails at once.
 * - Neither errors nor logs contain the password.
 *
 * @example
 * ```ts
 * import { Config, Console, Effect, Layer } from "effect"
 * import { SqlClient } from "effect/sql"
 * import * as Postgres from "metadata-batcher/Postgres"
 *
 * const Database = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => Postgres.layerMigrated({ url })))
 * const program = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   const [row] = yield* sql<{ readonly agents: number }>`SELECT count(*)::int AS agents FROM workspace_agents WHERE false`
 *   yield* Console.log(row!.agents)
 * })
 * await Effect.runPromise(Effect.provide(program, Database))
 * // Output:
 * // 0
 * ```
 */
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Data, type Duration, Effect, Layer, type Redacted, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as StartAttempts from "../platform/StartAttempts.ts"
import type * as PgPubSub from "../pubsub/PgPubSub.ts"
import * as PoolShares from "./internal/connection/poolShares.ts"
import * as Pools from "./internal/connection/pools.ts"
import * as Sockets from "./internal/connection/sockets.ts"
import { parse, type Target } from "./internal/connection/target.ts"
import { mayComeUp } from "./internal/mayComeUp.ts"
import { migrate } from "./internal/migrate.ts"
import { rootOf } from "../platform/RootCause.ts"
import { PostgresError } from "./internal/postgresError.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export { migrate } from "./internal/migrate.ts"
export { PostgresError } from "./internal/postgresError.ts"

/** The database and how to connect to it. */
export interface Options {
  /**
   * `postgresql://user:password@host:port/database`, with the parameters of libpq, several hosts, or a unix socket. An
   * unsupported parameter is an error that names it. `PGPASSWORD`, `PGUSER`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`
   * and `PGSSLKEY` supply the values that the URL does not have.
   */
  readonly url: Redacted.Redacted
  /**
   * The size of the pool, which the operations of stores divide among them. From 7 connections on each share has one of
   * its own. The listener has its own connection. Default: 10.
   */
  readonly maxConnections?: number | undefined
  /** `false` for poolers that use another connection for each transaction. Default: `true`. */
  readonly prepare?: boolean | undefined
  /**
   * The age at which a connection is replaced, so that the pool follows a new server at an address. Default: 30
   * minutes.
   */
  readonly connectionTTL?: Duration.Input | undefined
  /** The longest time of one attempt to connect. Default: 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long the database may be unreachable at the start. Default: 30 seconds. */
  readonly startTimeout?: Duration.Input | undefined
}

/** Provides a client once the database responds. */
export const layer = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  PgClient.layerFrom(make(options))

/** Provides a client once the database responds and its schema is up to date. */
export const layerMigrated = (options: Options): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, PostgresError> =>
  Layer.effectDiscard(migrate).pipe(Layer.provideMerge(layer(options)))

/** Returns a client once the database responds. It lives as long as the scope. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<PgClient.PgClient, PostgresError, Scope.Scope | Reactivity.Reactivity> {
  const target = yield* parse(options.url)
  const connect = Effect.fnUntraced(function* (ssl: Target["ssl"]) {
    const sockets = yield* Sockets.make(target.hosts, keepAliveMillis)
    const client = yield* PgClient.make(poolConfig(options, target, sockets, ssl))
    Pools.register(client, { sockets, shares: PoolShares.make(options.maxConnections ?? defaultMaxConnections) })
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
            reason: mayAnswer(cause) ? "unreachable" : "refused",
            detail: `cannot use the database ${target.display}: ${rootOf(cause)}`,
            cause
          })
    )
  )
})

/** Returns the settings of a connection to `url`, for a connection outside the pool of a client. */
export const connectionConfig = Effect.fnUntraced(function* (
  url: Redacted.Redacted
): Effect.fn.Return<PgConnection.Config, PostgresError> {
  const target = yield* parse(url)
  const config = (ssl: Target["ssl"]) => ({ ...addressOf(target, ssl), ...target.hosts[0] })
  if (!target.isTlsOptional) return config(target.ssl)
  // an error that is not about TLS will show in the connection itself
  const isRefused = yield* PgConnection.make(config(target.ssl)).pipe(
    Effect.scoped,
    Effect.match({ onFailure: isTlsRefused, onSuccess: () => false })
  )
  return config(isRefused ? false : target.ssl)
})

const defaultMaxConnections = 10

/**
 * Returns how the pubsub runs its statements: in their share of the pool of the client, and like an operation of a store.
 */
export const runPublications: Effect.Effect<PgPubSub.RunStatement, never, SqlClient.SqlClient> = Effect.map(
  SqlClient.SqlClient,
  (sql) => (statement, timeout) => statement.pipe(storeOperation(sql, "announcements", "publish messages", timeout))
)

// an idle connection whose other end is gone is detected before a statement uses it
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
  // host and port name the first host in traces and certificates; sockets go to the current host
  ...target.hosts[0],
  stream: sockets.open,
  applicationName: target.applicationName ?? "metadata-batcher",
  maxConnections: options.maxConnections ?? defaultMaxConnections,
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
      mayAnswer(error) ? Effect.logWarning(`waiting for the database ${target.display}: ${rootOf(error)}`) : Effect.void
    ),
    Effect.retry({ while: mayAnswer, schedule: StartAttempts.schedule(startTimeout) }),
    Effect.flatMap(({ encoding }) => requireUtf8(target.display, encoding))
  )

/** The server accepts no writes, but a writable one is required. */
class NotWritable extends Data.TaggedError("NotWritable") {
  override readonly message = "the server does not accept writes"
}

const mayAnswer = (error: SqlError.SqlError | NotWritable): boolean => error._tag === "NotWritable" || mayComeUp(error)

const isTlsRefused = (error: SqlError.SqlError | NotWritable): boolean =>
  error._tag === "SqlError" && error.message.includes("refused TLS")

/** Fails for other encodings: they cannot hold every character, and lose or reject values. */
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
