/** Why a call of an agent fails, in the words that every call shares. */
import { Effect, Schema } from "effect"
import type { PubSubError } from "../pubsub/PubSub.ts"

/** Something in the request is not as it must be. Nothing of the request was done. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** Where in the request, as `logs[3].level`; empty where it is the whole. */
  field: Schema.String,
  /** What is wrong with it, with the limit where there is one. */
  problem: Schema.String
}) {
  override get message() {
    return this.field === "" ? this.problem : `${this.field}: ${this.problem}`
  }
}

/** The service cannot do what was asked at present. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { message: Schema.String }) {}

/** What keeps the things of agents could not be read or written. Every port of the agent API fails with it. */
export class AgentStoreError extends Schema.TaggedError<AgentStoreError>()("AgentStoreError", {
  /** What was attempted, as in "read the logs". */
  operation: Schema.String,
  /** Whether it was given up rather than failed. */
  reason: Schema.Literals(["unavailable", "cancelled"]),
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot ${this.operation}`
  }
}

/**
 * The answer to a call whose store has failed, or that could not announce what it did. Why is for the log alone, and no
 * news where the store was told to give up.
 */
export const unavailable = (error: AgentStoreError | PubSubError): Effect.Effect<never, Unavailable> =>
  Effect.andThen(
    Effect.logWithLevel(error._tag === "AgentStoreError" && error.reason === "cancelled" ? "Debug" : "Error")(
      error.message,
      error.cause
    ),
    Effect.fail(new Unavailable({ message: `${error.message} now` }))
  )
