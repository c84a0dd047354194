/**
 * Announcements between replicas: named channels that carry short texts to whoever listens at that moment.
 *
 * Delivery is at most once, but never silently less: a subscription begins with a {@link Event Resync}, and gets another
 * one wherever messages may have been lost (a queue that overflowed, a connection that broke). A subscriber that reads
 * the present state on each `Resync`, and what a message names on each `Message`, therefore misses nothing.
 */
import { Context, Effect, Layer, Stream } from "effect"
import * as Subscribers from "./internal/subscribers.ts"
import { type Event, is, type PubSubError } from "./PubSubEvent.ts"

export * from "./PubSubEvent.ts"

export class PubSub extends Context.Service<
  PubSub,
  {
    /** Sends `payload` to everyone who is subscribed to `channel` now. */
    readonly publish: (channel: string, payload: string) => Effect.Effect<void, PubSubError>
    /**
     * The messages of a channel, in the order of their publication. The first event is a `Resync`: it says that the
     * subscription is in place. The stream ends its subscription with its own end.
     *
     * 2 048 messages wait for a subscriber that is busy; of what comes beyond that a `Resync` is all it hears.
     */
    readonly subscribe: (channel: string) => Stream.Stream<Event, PubSubError>
  }
>()("metadata-batcher/pubsub/PubSub") {}

/**
 * The payloads of a channel alone, for a subscriber that has no state to read again and so no use for a `Resync`: it
 * does not learn of the messages it lost.
 */
export const messages = (channel: string): Stream.Stream<string, PubSubError, PubSub> =>
  PubSub.useSync((pubsub) => pubsub.subscribe(channel)).pipe(
    Stream.unwrap,
    Stream.filter(is("Message")),
    Stream.map((message) => message.payload)
  )

/**
 * Within this process: a message is with all its subscribers when `publish` returns, whether they are busy or not.
 * Neither operation fails, and names and payloads have no limits.
 */
export const layerMemory: Layer.Layer<PubSub> = Layer.sync(PubSub, () => {
  const subscribers = Subscribers.make({ initialState: "in place" })
  return {
    publish: (channel, payload) => Effect.sync(() => subscribers.deliver(channel, payload)),
    subscribe: (channel) => Stream.unwrap(Effect.map(subscribers.join(channel), Stream.fromQueue))
  }
})
