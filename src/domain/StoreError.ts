/**
 * The one error of every port that stores something. It needs no Schema, which would make each port large in a bundle.
 *
 * @example
 * ```ts
 * import { StoreError } from "metadata-batcher"
 *
 * const error = new StoreError.StoreError({ operation: "write metadata", reason: "unavailable", cause: "no connection" })
 * console.log(error.message)
 * // Output:
 * // cannot write metadata
 * ```
 */
import { Data, Effect } from "effect"
import type { AgentId } from "./Ids.ts"

/**
 * An operation of a store failed.
 *
 * - `rejected`: the data is bad, and would be rejected again.
 * - `unavailable`: the store cannot be reached, is overloaded or took too long; the same call may succeed later.
 * - `cancelled`: the store was told to stop the statement.
 */
export class StoreError extends Data.TaggedError("StoreError")<{
  /** The attempted operation; completes the sentence "cannot …". Default: "use the store". */
  readonly operation?: string | undefined
  /** Whether another attempt makes sense: see above. */
  readonly reason: "rejected" | "unavailable" | "cancelled"
  /** Only for the log: it may hold data that was sent. */
  readonly cause: unknown
  /** The agents of whom something changed nevertheless, in a store of several servers. */
  readonly changed?: ReadonlyArray<AgentId> | undefined
}> {
  override get message() {
    return `cannot ${this.operation ?? "use the store"}`
  }
}

/**
 * Returns a handler of store errors that logs the cause and fails with another error, made from a message for the
 * caller. A cancelled statement is logged at the level debug.
 */
export const failWith =
  <E>(make: (message: string) => E) =>
  (error: { readonly message: string; readonly cause?: unknown; readonly reason?: unknown }): Effect.Effect<never, E> =>
    Effect.andThen(
      Effect.logWithLevel(error.reason === "cancelled" ? "Debug" : "Error")(error.message, error.cause),
      Effect.fail(make(`${error.message} now`))
    )
