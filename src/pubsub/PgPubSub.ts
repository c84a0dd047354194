/**
 * Implements the pubsub with LISTEN and NOTIFY of Postgres: a message reaches the subscribers of all replicas.
 *
 * - One connection outside the pool listens for all subscribers. Building the layer fails when this connection cannot
 *   be opened or does not receive its own heartbeat. Later a lost connection is replaced, however long that takes:
 *   after 1 s, then every 2 s, and at once when a publication has succeeded, but no sooner than 1 s after the last
 *   attempt.
 * - Whenever messages may be missing, a subscriber gets a `Resync`. A subscriber whose queue was full gets it behind
 *   the pending messages. After a lost connection every subscriber gets it as soon as the new connection listens to its
 *   channel.
 * - A dead connection whose socket reports no error is detected by its heartbeat within 20 s, and replaced.
 * - When the scope ends, the connection closes at once and open subscriptions fail.
 * - A publication uses any connection of the pool and takes effect at once, even inside a transaction. Publications that
 *   arrive while a statement runs are the next statement, so that any number of them use one connection; those that are
 *   equal are one message. A statement that takes longer than `publishTimeout` fails.
 * - A payload has less than 8 000 bytes, and no NUL. The name of a channel is any text of 1 to 63 bytes without NUL. Any
 *   other publication or subscription fails.
 *
 * @example
 * ```ts
 * import { Config, Console, Effect, Layer, Option, Stream } from "effect"
 * import { PubSub } from "metadata-batcher"
 * import * as PgPubSub from "metadata-batcher/PgPubSub"
 * import * as Postgres from "metadata-batcher/Postgres"
 *
 * const Database = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => Postgres.layerMigrated({ url })))
 * const program = Effect.gen(function* () {
 *   const { publish, subscribe } = yield* PubSub.PubSub
 *   const event = yield* subscribe("news").pipe(
 *     // the first event says that the channel is subscribed
 *     Stream.tap(({ _tag }) => (_tag === "Resync" ? publish("news", "hello") : Effect.void)),
 *     Stream.filter(PubSub.is("Message")),
 *     Stream.runHead
 *   )
 *   yield* Console.log(Option.getOrThrow(event).payload)
 * })
 * await Effect.runPromise(Effect.provide(program, Layer.provide(PgPubSub.layer(), Database)))
 * // Output:
 * // hello
 * ```
 */
import { PgClient, type PgConnection, PgTypes } from "@effect/sql-pg"
import { Context, type Duration, Effect, Layer, Redacted, Result, type Scope } from "effect"
import type { SqlError } from "effect/sql"
import * as RequestCoalescer from "../batcher/RequestCoalescer.ts"
import { randomUuid } from "../domain/RandomUuid.ts"
import { ListenerError } from "./internal/listenerError.ts"
import * as ListeningPubSub from "./internal/listeningPubSub.ts"
import { driver } from "./internal/pgConnection.ts"
import { PubSub } from "./PubSub.ts"

export { ListenerError } from "./internal/listenerError.ts"

/** The connection and the times of the pubsub. */
export interface Options extends ListeningPubSub.Times {
  /**
   * The connection for LISTEN, which must bypass a transaction pooler. Its settings replace the pool's address and
   * credentials, which are the default; all other settings are the pool's.
   */
  readonly listenConnection?: PgConnection.Config | undefined
  /** The address of `listenConnection`, as a URL that the driver accepts. */
  readonly listenUrl?: Redacted.Redacted | undefined
  /** Runs a statement that publishes, within a time. Default: with any connection of the pool. */
  readonly runStatement?: RunStatement | undefined
}

/** Runs a statement within a time, and fails when it takes longer. */
export type RunStatement = (
  statement: Effect.Effect<unknown, SqlError.SqlError>,
  timeout: Duration.Input
) => Effect.Effect<unknown, unknown>

/** Returns a pubsub that listens as long as the scope is open. Fails when the listening connection cannot be set up. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<PubSub["Service"], ListenerError, PgClient.PgClient | Scope.Scope> {
  const pg = yield* PgClient.PgClient
  const connection = listenConfig(
    pg.config,
    options.listenConnection ?? (options.listenUrl === undefined ? undefined : { url: options.listenUrl })
  )
  // the driver's error about an invalid URL contains the URL and its password
  if (connection.url !== undefined && !URL.canParse(Redacted.value(connection.url))) {
    return yield* new ListenerError({ reason: "connection", cause: new Error("the URL is not valid") })
  }

  const heartbeatChannel = `listener-heartbeat:${yield* randomUuid}`
  const notify = yield* makeNotify(pg, options)
  const { pubsub } = yield* ListeningPubSub.make({
    ...options,
    driver: driver(connection),
    heartbeats: { channel: heartbeatChannel, next: () => "", receive: () => ({ isOwn: true, isGap: false }) },
    publish: (_, channel, payload) => notify({ channel, payload })
  })
  return pubsub
})

/** Provides `PubSub` over the pool's database. Fails when the listening connection cannot be set up. */
export const layer = (options?: Options): Layer.Layer<PubSub, ListenerError, PgClient.PgClient> =>
  Layer.effect(PubSub, make(options))

interface Publication {
  readonly channel: string
  readonly payload: string
}

/** The most publications in one statement: at most 8 MB. */
const maxPublications = 1_000

const makeNotify = (pg: PgClient.PgClient, options: Options) => {
  const runStatement = options.runStatement ?? Effect.timeout
  const texts = (publications: ReadonlyArray<Publication>, of: keyof Publication) =>
    Result.getOrThrow(
      PgTypes.array(
        publications.map((publication) => publication[of]),
        PgTypes.OID.text
      )
    )
  return Effect.map(
    RequestCoalescer.make({
      name: "PubSub.notify",
      window: 0,
      maxSize: maxPublications,
      concurrency: 1,
      keyOf: ({ channel, payload }: Publication) => `${channel}\0${payload}`,
      call: (publications) =>
        runStatement(
          pg`
            SELECT pg_notify(channel, payload)
            FROM unnest(${texts(publications, "channel")}, ${texts(publications, "payload")}) AS sent (channel, payload)`,
          options.publishTimeout ?? "10 seconds"
        ).pipe(
          // a transaction around the first publication is not that of all
          Effect.updateContext((context: Context.Context<never>) => Context.omit(pg.transactionService)(context)),
          Effect.as(() => undefined)
        )
    }),
    ({ request }) => request
  )
}

const listenConfig = (
  pool: PgClient.PgClientConfig,
  connection: PgConnection.Config | undefined
): PgConnection.Config => ({
  ...pool,
  ...(connection === undefined
    ? {}
    : {
        url: undefined,
        host: undefined,
        port: undefined,
        path: undefined,
        database: undefined,
        username: undefined,
        password: undefined,
        startupOptions: undefined,
        stream: undefined,
        ...connection
      }),
  applicationName: `${pool.applicationName ?? "metadata-batcher"} listener`,
  keepAlive: pool.keepAlive ?? "10 seconds",
  // each statement contains its channel, so no two are the same
  prepare: false
})
