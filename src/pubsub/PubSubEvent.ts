/** What a subscriber is told, and what it is told instead. */
import { Data, Schema } from "effect"

export type Event = Data.TaggedEnum<{
  Message: { readonly payload: string }
  /** From here on nothing is lost; what came before may have been. */
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
