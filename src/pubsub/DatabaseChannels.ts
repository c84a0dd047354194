/**
 * Adds the channels on which the database itself announces to a pubsub over a broker.
 *
 * - A subscription to such a channel gets the messages of both. Publications go to the broker alone.
 * - Where the database cannot be listened to, as behind a transaction pooler, a warning says so once, and such a
 *   subscription gets what the broker gives it: a `Resync` about once a minute.
 */
import { Cause, Context, Effect, Fiber, Metric, Stream } from "effect"
import * as PgPubSub from "./PgPubSub.ts"
import { PubSub } from "./PubSub.ts"

/** Returns the pubsub with these channels. Listens to the database as long as the scope is open. */
export const add = Effect.fnUntraced(function* (
  broker: PubSub["Service"],
  channels: ReadonlyArray<string>,
  options: PgPubSub.Options
) {
  // the metrics of the pubsub are those of the broker
  const metrics = Context.make(Metric.MetricRegistry, new Map())
  const database = yield* PgPubSub.make(options).pipe(
    Effect.provideContext(metrics),
    Effect.tapError((error) =>
      Effect.logWarning(
        "the announcements of the database are not received: rights that a statement takes away end within a minute; set DATABASE_LISTEN_URL to an address without a transaction pooler",
        Cause.fail(error)
      )
    ),
    Effect.orElseSucceed(() => undefined),
    Effect.forkScoped
  )
  const announced = (channel: string) =>
    Stream.unwrap(Effect.map(Fiber.join(database), (pubsub) => pubsub?.subscribe(channel) ?? Stream.never)).pipe(
      Stream.provideContext(metrics)
    )

  return PubSub.of({
    ...broker,
    subscribe: (channel) =>
      channels.includes(channel)
        ? Stream.merge(broker.subscribe(channel), announced(channel))
        : broker.subscribe(channel)
  })
})
