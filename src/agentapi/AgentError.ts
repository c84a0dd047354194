/** Why a call of an agent fails, in the words that every call shares. */
import { type Effect, Schema } from "effect"
import type { PubSubError } from "../pubsub/PubSub.ts"
import { failWith, type StoreError } from "../domain/StoreError.ts"

/** Something in the request is not as it must be. Nothing of the request was done. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** Where in the request, as `logs[3].level`; empty where it is the whole. */
  field: Schema.String,
  /** The problem, with the limit if there is one. */
  problem: Schema.String
}) {
  override get message() {
    return this.field === "" ? this.problem : `${this.field}: ${this.problem}`
  }
}

/** The service cannot do what was asked at present. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { message: Schema.String }) {}

/** Fails a call whose store failed, or that could not announce its change. The cause is only logged. */
export const unavailable: (error: StoreError | PubSubError) => Effect.Effect<never, Unavailable> = failWith(
  (message) => new Unavailable({ message })
)
