/**
 * Announcements between replicas: named channels that carry short texts to the subscribers of that moment.
 *
 * Delivery is at most once, and no loss is silent: a subscription begins with a {@link Event Resync} and gets another one
 * when messages may have been lost (a queue overflowed, a connection broke). A subscriber that reads the present state on
 * each `Resync`, and the state that a message names on each `Message`, therefore misses nothing.
 */
import { Context, Effect, Layer, Stream } from "effect"
import * as Subscribers from "./internal/subscribers.ts"
import { type Event, is, type PubSubError } from "./PubSubEvent.ts"

export * from "./PubSubEvent.ts"

export class PubSub extends Context.Service<
  PubSub,
  {
    /** Sends `payload` to the present subscribers of `channel`. */
    readonly publish: (channel: string, payload: string) => Effect.Effect<void, PubSubError>
    /**
     * The messages of a channel, in the order of their publication. The first event is a `Resync`: the channel is
     * subscribed. The subscription ends with the stream.
     *
     * 2 048 messages wait for a busy subscriber; a `Resync` stands for those beyond that.
     */
    readonly subscribe: (channel: string) => Stream.Stream<Event, PubSubError>
    /** Whether the connection for subscriptions was lost and is being replaced. Absent where there is no connection. */
    readonly reconnecting?: Effect.Effect<boolean> | undefined
  }
>()("metadata-batcher/pubsub/PubSub") {}

/** The payloads of a channel alone, for a subscriber without a state to read again. It does not learn of lost messages. */
export const messages = (channel: string): Stream.Stream<string, PubSubError, PubSub> =>
  PubSub.useSync((pubsub) => pubsub.subscribe(channel)).pipe(
    Stream.unwrap,
    Stream.filter(is("Message")),
    Stream.map((message) => message.payload)
  )

/**
 * Within this process: `publish` returns when all subscribers have the message, busy or not. Neither operation fails, and
 * names and payloads have no limits.
 */
export const layerMemory: Layer.Layer<PubSub> = Layer.sync(PubSub, () => {
  const subscribers = Subscribers.make({ initialState: "subscribed" })
  return {
    publish: (channel, payload) => Effect.sync(() => subscribers.deliver(channel, payload)),
    subscribe: (channel) => Stream.unwrap(Effect.map(subscribers.join(channel), Stream.fromQueue))
  }
})
