/** What every statement of the agent API has in common: ten seconds, and one kind of error. */
import { Effect, type Schema } from "effect"
import { SqlError } from "effect/sql"
import { AgentStoreError } from "../../agentapi/AgentError.ts"
import { codeOf } from "./sqlCode.ts"

/**
 * Bounds what reads or writes, with the wait for a connection, and turns what the database says into the error of the
 * ports. `operation` completes the sentence "cannot …".
 */
export const attempt =
  (operation: string) =>
  <A, R>(self: Effect.Effect<A, SqlError.SqlError | Schema.SchemaError, R>): Effect.Effect<A, AgentStoreError, R> =>
    self.pipe(
      Effect.timeout("10 seconds"),
      Effect.mapError(
        (cause) =>
          new AgentStoreError({
            operation,
            reason: SqlError.isSqlError(cause) && codeOf(cause) === "57014" ? "cancelled" : "unavailable",
            cause
          })
      )
    )
