/** One statement of a store: bounded in time, and failing with the one error of the ports. */
import { PgTypes } from "@effect/sql-pg"
import { type Cause, type Duration, Effect, type Schema } from "effect"
import { SqlError } from "effect/sql"
import { StoreError } from "../../domain/StoreError.ts"
import { codeOf } from "./sqlCode.ts"

/**
 * Bounds `self`, its wait for a connection included, and turns its error into a `StoreError`. `operation` completes the
 * sentence "cannot …".
 *
 * A statement that exceeds `timeout` is cancelled on the server and fails with the reason `unavailable`: that the
 * database is slow is news. The driver abandons a dead connection up to 5 s later.
 */
export const storeOperation =
  (operation: string, timeout: Duration.Input = "10 seconds") =>
  <A, R>(self: Effect.Effect<A, SqlError.SqlError | Schema.SchemaError, R>): Effect.Effect<A, StoreError, R> =>
    self.pipe(
      Effect.timeout(timeout),
      Effect.mapError((cause) => new StoreError({ operation, reason: reasonOf(cause), cause }))
    )

/**
 * Classifies a failed statement by its SQLSTATE, because the driver tells apart fewer kinds of errors than the server
 * does. An error without one that is not about a parameter is about the connection.
 */
export const reasonOf = (error: SqlError.SqlError | Schema.SchemaError | Cause.TimeoutError): StoreError["reason"] => {
  if (!SqlError.isSqlError(error)) return "unavailable"
  const code = codeOf(error)
  if (code === undefined) return error.reason.cause instanceof PgTypes.CodecError ? "rejected" : "unavailable"
  if (code === "57014") return "cancelled"
  return dataClasses.some((sqlClass) => code.startsWith(sqlClass)) ? "rejected" : "unavailable"
}

// cardinality violation, data exception, integrity constraint violation
const dataClasses = ["21", "22", "23"]
