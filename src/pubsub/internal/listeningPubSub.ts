/**
 * Makes a pubsub of a listener and a way to publish: the part that is the same for Postgres and for brokers.
 *
 * - A subscription waits until its channel is subscribed, at most `subscribeTimeout`.
 * - A payload has less than 8 000 bytes, the name of a channel 1 to 63, and neither has NUL. Those are the limits of
 *   Postgres, and the same for brokers, so that one can replace the other.
 * - Subscriptions and publications are counted, by whether they succeeded.
 */
import { Data, type Duration, Effect, Metric, Queue, type Scope, Stream } from "effect"
import * as Utf8 from "../../domain/Utf8.ts"
import { PubSub, PubSubError } from "../PubSub.ts"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import * as Listener from "./listener.ts"
import type { Connection, Driver, Heartbeats } from "./listenerSession.ts"
import * as Subscribers from "./subscribers.ts"

/** The times of a pubsub that keeps a connection. */
export interface Times {
  /** The time between two heartbeats of the listening connection. Default: 10 s, or 2 s for a broker. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /** How late a heartbeat may be before the connection is replaced. Default: 10 s, or 4 s for a broker. */
  readonly heartbeatTimeout?: Duration.Input | undefined
  /**
   * The pause before a lost connection is replaced, doubled after each failed attempt. Default: 1 s, or 250 ms for a
   * broker.
   */
  readonly minBackoff?: Duration.Input | undefined
  /** The longest pause. Default: 2 s, or 500 ms for a broker, so that watches work again soon after its return. */
  readonly maxBackoff?: Duration.Input | undefined
  /**
   * How long a new subscription waits for the replacement of a lost connection and for the server's response, before it
   * fails. Default: 30 s, enough to detect and replace a dead connection.
   */
  readonly subscribeTimeout?: Duration.Input | undefined
  /**
   * The longest time of a publication, including its wait for a connection, or of the statement that makes several.
   * After that they fail, although they may have been sent. Default: 10 s, as for a batch of metadata.
   */
  readonly publishTimeout?: Duration.Input | undefined
}

export interface Options<C extends Connection, E> extends Times {
  readonly driver: Driver<C, E>
  readonly heartbeats: Heartbeats
  readonly publish: (
    listener: Listener.Listener<C, E>,
    channel: string,
    payload: string
  ) => Effect.Effect<void, unknown>
  readonly stateWhileConnecting?: Listener.Options<C, E>["stateWhileConnecting"]
}

export interface ListeningPubSub<C extends Connection, E> {
  readonly pubsub: PubSub["Service"]
  readonly listener: Listener.Listener<C, E>
  readonly subscribers: Subscribers.Subscribers
}

/** Returns a pubsub that listens as long as the scope is open. Fails when the first connection fails. */
export const make = Effect.fnUntraced(function* <C extends Connection, E extends Error>(
  options: Options<C, E>
): Effect.fn.Return<ListeningPubSub<C, E>, E, Scope.Scope> {
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
    driver: options.driver,
    subscribers,
    heartbeats: options.heartbeats,
    heartbeatInterval: options.heartbeatInterval ?? "10 seconds",
    heartbeatTimeout: options.heartbeatTimeout ?? "10 seconds",
    minBackoff: options.minBackoff ?? "1 second",
    maxBackoff: options.maxBackoff ?? "2 seconds",
    stateWhileConnecting: options.stateWhileConnecting
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

  const pubsub = PubSub.of({
    publish: Effect.fn("PubSub.publish")(
      function* (channel, payload) {
        yield* checkName(channel)
        yield* checkPayload(payload)
        yield* options.publish(listener, channel, payload)
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
  return { pubsub, listener, subscribers }
})

/** A call that was not sent to the server. */
class NotSent extends Data.TaggedError("NotSent")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

export const notSent = (reason: string): Effect.Effect<never, NotSent> => Effect.fail(new NotSent({ reason }))

/** Fails for the name of a channel that Postgres would refuse. */
export const checkName = (channel: string): Effect.Effect<void, NotSent> => {
  const bytes = Utf8.byteLength(channel)
  return bytes === 0 || bytes > 63 ? notSent("the name of a channel has 1 to 63 bytes") : checkText(channel)
}

const checkPayload = (payload: string): Effect.Effect<void, NotSent> =>
  Utf8.byteLength(payload) < 8_000 ? checkText(payload) : notSent("a payload has less than 8 000 bytes")

const checkText = (text: string): Effect.Effect<void, NotSent> =>
  text.includes("\0") ? notSent("Postgres accepts no NUL") : Effect.void

const failed = (operation: PubSubError["operation"], channel: string) => (cause: unknown) =>
  cause instanceof PubSubError ? cause : new PubSubError({ operation, channel, cause })
