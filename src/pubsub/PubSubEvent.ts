/** Defines the events of a subscription, and its error. */
import { Data, Schema } from "effect"

export type Event = Data.TaggedEnum<{
  Message: { readonly payload: string }
  /** Messages before this event may be missing: the subscriber must read the state again. */
  Resync: {}
}>

export const { $match: match, $is: is, Message, Resync } = Data.taggedEnum<Event>()

/** A publication failed, or a subscription could not be set up or kept. */
export class PubSubError extends Schema.TaggedError<PubSubError>()("PubSubError", {
  operation: Schema.Literals(["publish", "subscribe"]),
  channel: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot ${this.operation} on channel ${this.channel}`
  }
}
