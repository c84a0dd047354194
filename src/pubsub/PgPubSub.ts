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
import { Context, type Duration, Effect, Layer, Metric, Queue, Redacted, Result, type Scope, Stream } from "effect"
import type { SqlError } from "effect/sql"
import * as RequestCoalescer from "../batcher/RequestCoalescer.ts"
import * as Utf8 from "../domain/Utf8.ts"
import * as Listener from "./internal/listener.ts"
import { ListenerError } from "./internal/listenerError.ts"
import * as Subscribers from "./internal/subscribers.ts"
import { PubSub, PubSubError } from "./PubSub.ts"
import * as PubSubMetrics from "./PubSubMetrics.ts"

export { ListenerError } from "./internal/listenerError.ts"

/** The connection and the times of the pubsub. */
export interface Options {
  /**
   * The connection for LISTEN, which must bypass a transaction pooler. Its settings replace the pool's address and
   * credentials, which are the default; all other settings are the pool's.
   */
  readonly listenConnection?: PgConnection.Config | undefined
  /** The address of `listenConnection`, as a URL that the driver accepts. */
  readonly listenUrl?: Redacted.Redacted | undefined
  /** The time between two heartbeats of the listening connection. Default: 10 s. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /** How late a heartbeat may be before the connection is replaced. Default: 10 s. */
  readonly heartbeatTimeout?: Duration.Input | undefined
  /** The pause before a lost connection is replaced, doubled after each failed attempt. Default: 1 s. */
  readonly minBackoff?: Duration.Input | undefined
  /** The longest pause. Default: 2 s, so that watches work again soon after the database returns. */
  readonly maxBackoff?: Duration.Input | undefined
  /**
   * How long a new subscription waits for the replacement of a lost connection and for the server's response, before it
   * fails. Default: 30 s, enough to detect and replace a dead connection.
   */
  readonly subscribeTimeout?: Duration.Input | undefined
  /**
   * The longest time of a statement that publishes, including its wait for a connection. After that its publications
   * fail, although they may have been sent. Default: 10 s, as for a batch of metadata.
   */
  readonly publishTimeout?: Duration.Input | undefined
  /** Runs a statement that publishes, within a time. Default: with any connection of the pool. */
  readonly runStatement?: RunStatement | undefined
}

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

  yield* PubSubMetrics.initialize

  const subscribers = Subscribers.make({
    initialState: "pending",
    onDemand: (channel, change) =>
      Effect.andThen(
        Metric.modify(PubSubMetrics.currentEvents, change),
        Effect.sync(() => listener.sync(channel))
      )
  })

  const listener = yield* Listener.make({
    connection,
    subscribers,
    heartbeatInterval: options.heartbeatInterval ?? "10 seconds",
    heartbeatTimeout: options.heartbeatTimeout ?? "10 seconds",
    minBackoff: options.minBackoff ?? "1 second",
    maxBackoff: options.maxBackoff ?? "2 seconds"
  })

  const subscription = Effect.fnUntraced(
    function* (channel: string) {
      const queue = yield* subscribers.join(channel)
      yield* Effect.timeout(Queue.peek(queue), options.subscribeTimeout ?? "30 seconds")
      yield* Effect.acquireRelease(Metric.modify(PubSubMetrics.currentSubscribers, 1), () =>
        Metric.modify(PubSubMetrics.currentSubscribers, -1)
      )
      return Stream.fromQueue(queue)
    },
    (effect, channel) => Effect.mapError(effect, failed("subscribe", channel)),
    Effect.tapError(() => Metric.update(PubSubMetrics.subscribes.failed, 1)),
    Effect.tap(() => Metric.update(PubSubMetrics.subscribes.succeeded, 1))
  )

  const notify = yield* makeNotify(pg, options)

  return PubSub.of({
    publish: Effect.fn("PubSub.publish")(
      function* (channel, payload) {
        yield* check(channel, payload)
        yield* notify({ channel, payload })
        listener.retryNow()
        yield* Metric.update(PubSubMetrics.publishedBytes, Utf8.byteLength(payload))
      },
      (effect, channel) => Effect.mapError(effect, failed("publish", channel)),
      Effect.tapError(() => Metric.update(PubSubMetrics.publishes.failed, 1)),
      Effect.tap(() => Metric.update(PubSubMetrics.publishes.succeeded, 1))
    ),
    subscribe: (channel) => Stream.unwrap(subscription(channel)),
    reconnecting: Effect.sync(listener.isConnecting)
  })
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

/** Fails for a publication that Postgres would refuse, and with it all others of the same statement. */
const check = (channel: string, payload: string): Effect.Effect<void, PubSubError> => {
  const problem = problemOf(channel, payload)
  return problem === undefined ? Effect.void : Effect.fail(failed("publish", channel)(new Error(problem)))
}

const problemOf = (channel: string, payload: string): string | undefined => {
  const bytes = Utf8.byteLength(channel)
  if (bytes === 0 || bytes > 63) return "the name of a channel has 1 to 63 bytes"
  if (Utf8.byteLength(payload) >= 8_000) return "a payload has less than 8 000 bytes"
  return channel.includes("\0") || payload.includes("\0") ? "Postgres accepts no NUL" : undefined
}

const failed = (operation: PubSubError["operation"], channel: string) => (cause: unknown) =>
  cause instanceof PubSubError ? cause : new PubSubError({ operation, channel, cause })

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
