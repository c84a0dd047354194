/**
 * Makes a pubsub over a broker that is not the database.
 *
 * - Publications and subscriptions share one connection. While it is lost, publications fail at once, and subscribers
 *   get a `Resync` every 5 s, so that they read the state at intervals. They get another one when the connection listens
 *   again.
 * - A gap in the heartbeats of any replica gives every subscriber a `Resync`: see {@link NumberedHeartbeats}. So do each
 *   5 s in which a replica is silent, for up to a minute, and every minute, for a loss that no gap shows.
 */
import { type Duration, Effect, Schedule, type Scope } from "effect"
import { randomUuid } from "../../domain/RandomUuid.ts"
import { PubSub } from "../PubSub.ts"
import type { BrokerError } from "./brokerError.ts"
import type { Connection, Driver } from "./listenerSession.ts"
import * as ListeningPubSub from "./listeningPubSub.ts"
import * as NumberedHeartbeats from "./numberedHeartbeats.ts"

/** A connection to a broker. Its channels are the names after the prefix. */
export interface BrokerConnection extends Connection {
  /** Succeeds when the broker has the message. */
  readonly publish: (channel: string, payload: string) => Effect.Effect<void, unknown>
}

/** The time between two reads of a subscriber while the broker is away, or a replica is silent. */
const awayInterval: Duration.Input = "5 seconds"

/** The time between two reads of a subscriber that nothing has asked for. */
const netInterval: Duration.Input = "1 minute"

export const make = Effect.fnUntraced(function* (
  driver: Driver<BrokerConnection, BrokerError>,
  times: ListeningPubSub.Times
): Effect.fn.Return<PubSub["Service"], BrokerError, Scope.Scope> {
  const heartbeats = NumberedHeartbeats.make("listener-heartbeat", yield* randomUuid)
  const { listener, pubsub, subscribers } = yield* ListeningPubSub.make<BrokerConnection, BrokerError>({
    ...times,
    heartbeatInterval: times.heartbeatInterval ?? "2 seconds",
    heartbeatTimeout: times.heartbeatTimeout ?? "4 seconds",
    minBackoff: times.minBackoff ?? "250 millis",
    maxBackoff: times.maxBackoff ?? "500 millis",
    stateWhileConnecting: "subscribed",
    driver: { ...driver, connect: Effect.map(driver.connect, limited) },
    heartbeats,
    publish: ({ session }, channel, payload) =>
      Effect.timeout(
        session()?.connection.publish(channel, payload) ?? ListeningPubSub.notSent("the broker is away"),
        times.publishTimeout ?? "10 seconds"
      )
  })

  const resyncWhileAway = Effect.sync(() => {
    if (heartbeats.isAnySilent() || listener.isConnecting()) subscribers.resync()
  })
  yield* Effect.forkScoped(Effect.schedule(resyncWhileAway, Schedule.spaced(awayInterval)))
  yield* Effect.sync(subscribers.resync).pipe(
    // replicas that start together read at different times
    Effect.schedule(Schedule.jittered(Schedule.spaced(netInterval))),
    Effect.forkScoped
  )

  return PubSub.of({
    ...pubsub,
    publish: (channel, payload) =>
      pubsub.publish(channel, payload).pipe(
        Effect.onError(() =>
          Effect.sync(() => {
            heartbeats.skip()
            listener.session()?.beatNow()
          })
        )
      )
  })
})

/** Returns a connection that does not listen to channels whose names Postgres does not take. */
const limited = (connection: BrokerConnection): BrokerConnection => ({
  ...connection,
  listen: (channel) => Effect.andThen(ListeningPubSub.checkName(channel), connection.listen(channel))
})

/**
 * Returns the name of a channel at the broker: the prefix, a dot, and one token. Characters that NATS does not allow in a
 * token are percent-encoded.
 */
export const nameAtBroker = (prefix: string, channel: string): string =>
  `${prefix}.${channel.replace(/[\s\p{Cc}.*>%]/gu, percentEncoded)}`

const percentEncoded = (character: string): string =>
  [...new TextEncoder().encode(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("")
