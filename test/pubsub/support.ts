/** Shared parts of the suites of the pubsub over Postgres. */
import { Effect, Layer, Logger, Metric, Stream } from "effect"
import { SqlClient } from "effect/sql"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { Message, PubSub } from "../../src/pubsub/PubSub.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"

/** A pubsub that listens through a proxy, with short pauses. */
export const pubsub = (options?: PgPubSub.Options) =>
  Layer.unwrap(
    PgProxy.PgProxy.useSync(({ url }) =>
      PgPubSub.layer({ listenUrl: url, minBackoff: "10 millis", maxBackoff: "50 millis", ...options })
    )
  ).pipe(Layer.provideMerge(PgProxy.layer))

export const publish = (channel: string, payload: string) => PubSub.use((pubsub) => pubsub.publish(channel, payload))

export const message = (payload: string) => Message({ payload })

/** Waits until the listening connection sends a statement that begins so, and returns those that it sent before. */
export const sent = (statement: string) =>
  PgProxy.PgProxy.use(({ statements }) =>
    Stream.fromQueue(statements).pipe(
      Stream.takeUntil((text) => text.startsWith(statement), { excludeLast: true }),
      Stream.runCollect
    )
  )

/** Ends the sessions of all listeners, as an administrator does. */
export const terminateListeners = SqlClient.SqlClient.use(
  (sql) => sql`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'test listener'`
)

export const count = (metric: Metric.Counter<number>) => Effect.map(Metric.value(metric), (state) => state.count)

export const level = (metric: Metric.Gauge<number>) => Effect.map(Metric.value(metric), (state) => state.value)

/** Fails a test that waits for a dead connection, which the driver closes after 5 s. */
export const promptly = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.orDie(Effect.timeout(self, "4 seconds"))

/** No logs: connections are lost here on purpose. */
export const quiet = Layer.merge(Postgres.layer, Logger.layer([]))
