/**
 * Announcements between replicas: named channels that carry short texts to whoever listens at that moment.
 *
 * Delivery is at most once, but never silently less: a subscription begins with a {@link Event Resync}, and gets another
 * one wherever messages may have been lost (a queue that overflowed, a connection that broke). A subscriber that reads
 * the present state on each `Resync`, and what a message names on each `Message`, therefore misses nothing.
 */
import { Context, Data, type Effect, Schema, type Stream } from "effect"

export type Event = Data.TaggedEnum<{
  Message: { readonly payload: string }
  /** From here on nothing is lost; what came before may have been. */
  Resync: {}
}>

export const { $match: match, $is: is, Message, Resync } = Data.taggedEnum<Event>()

export class PubSubError extends Schema.TaggedError<PubSubError>()("PubSubError", {
  operation: Schema.Literals(["publish", "subscribe"]),
  channel: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot ${this.operation} on channel ${this.channel}`
  }
}

export class PubSub extends Context.Service<
  PubSub,
  {
    /** Sends `payload` to everyone who is subscribed to `channel` now. */
    readonly publish: (channel: string, payload: string) => Effect.Effect<void, PubSubError>
    /**
     * The messages of a channel, in the order of their publication. The first event is a `Resync`: it says that the
     * subscription is in place. The stream ends its subscription with its own end.
     */
    readonly subscribe: (channel: string) => Stream.Stream<Event, PubSubError>
  }
>()("metadata-batcher/pubsub/PubSub") {}
