/** The events of a subscription, and its error. */
import { Data, Schema } from "effect"

export type Event = Data.TaggedEnum<{
  Message: { readonly payload: string }
  /** Messages before this event may have been lost: the state is to be read again. */
  Resync: {}
}>

export const { $match: match, $is: is, Message, Resync } = Data.taggedEnum<Event>()

/** A publication that was not accepted, or a subscription that could not be set up or kept. */
export class PubSubError extends Schema.TaggedError<PubSubError>()("PubSubError", {
  operation: Schema.Literals(["publish", "subscribe"]),
  channel: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot ${this.operation} on channel ${this.channel}`
  }
}
