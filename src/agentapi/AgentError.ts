/**
 * The errors that all calls of an agent share.
 *
 * @example
 * ```ts
 * import { InvalidRequest } from "metadata-batcher/AgentError"
 *
 * console.log(new InvalidRequest({ field: "logs[3].level", problem: "must be a level" }).message)
 * // Output:
 * // logs[3].level: must be a level
 * ```
 */
import { type Effect, Schema } from "effect"
import { failWith, type StoreError } from "../domain/StoreError.ts"

/** The request is invalid. Nothing of it was done. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** The path of the invalid field, such as `logs[3].level`; empty if the whole request is invalid. */
  field: Schema.String,
  /** The problem, with the limit if there is one. */
  problem: Schema.String
}) {
  override get message() {
    return this.field === "" ? this.problem : `${this.field}: ${this.problem}`
  }
}

/** The service cannot process the call now. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { message: Schema.String }) {}

/** The service does not serve the call. Agents of the original understand that they need not try again. */
export class NotServed extends Schema.TaggedError<NotServed>()("NotServed", { message: Schema.String }) {}

/** Fails a call whose store failed, or that could not announce its change. The cause is only logged. */
export const unavailable: (error: StoreError) => Effect.Effect<never, Unavailable> = failWith(
  (message) => new Unavailable({ message })
)
