/** Defines the events of a subscription, and its error. */
import { Data } from "effect"

/** An event of a subscription: a message, or a sign that messages may be missing. */
export type Event = Data.TaggedEnum<{
  /** A message that was published. */
  Message: { readonly payload: string }
  /** Messages before this event may be missing: the subscriber must read the state again. */
  Resync: {}
}>

const events = Data.taggedEnum<Event>()

/** Returns what the case of an event returns: `match(event, { Message: …, Resync: … })`. */
export const match = events.$match

/** Returns a test for events of one kind: `is("Message")`. */
export const is = events.$is

/** Makes a message. */
export const Message = events.Message

/** Makes the event that says: messages may be missing, read the state again. */
export const Resync = events.Resync

/** A publication failed, or a subscription could not be set up or kept. */
export class PubSubError extends Data.TaggedError("PubSubError")<{
  /** The attempted operation. */
  readonly operation: "publish" | "subscribe"
  /** The name of the channel. */
  readonly channel: string
  /** The error of the broker. */
  readonly cause: unknown
}> {
  override get message() {
    return `cannot ${this.operation} on channel ${this.channel}`
  }
}
