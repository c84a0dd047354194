/** Runs the statements of a store operation: with a timeout, new attempts after a conflict, and one kind of error. */
import { PgTypes } from "@effect/sql-pg"
import { Cause, type Duration, Effect, identity, Schedule, Schema } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { StoreError } from "../../domain/StoreError.ts"
import { poolOf } from "./connection/pools.ts"
import * as FailureMetrics from "../../telemetry/FailureMetrics.ts"
import type { Share } from "../../telemetry/PoolMetrics.ts"
import { codeOf } from "./sqlCode.ts"

type DatabaseError = SqlError.SqlError | Schema.SchemaError | Cause.TimeoutError

/**
 * Runs `self` in a share of the pool, limits its time, including its wait for a connection, and turns a database error
 * into a `StoreError`. Other errors pass unchanged. `operation` completes the sentence "cannot …".
 *
 * - `self` uses at most one connection at a time, and contains no other operation of a store.
 * - A statement or transaction that lost a conflict (40001, 40P01) had no effect and is tried again.
 * - A statement that exceeds `timeout` is cancelled on the server and fails with the reason `unavailable`. The pool of
 *   `sql` then also closes the connections that may be dead. An operation that was still waiting for its share fails in
 *   the same way and says nothing about connections.
 * - When a server rejects a statement because it is read-only, the pool moves to another server.
 */
export const storeOperation =
  (sql: SqlClient.SqlClient, share: Share, operation: string, timeout: Duration.Input = "10 seconds") =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StoreError | Exclude<E, DatabaseError>, R> =>
    Effect.suspend(() => {
      const { shares, sockets } = poolOf(sql) ?? {}
      const mark = sockets?.mark()
      const inShare = shares?.[share] ?? identity
      let hasBegun = false
      const begin = Effect.sync(() => void (hasBegun = true))
      const late = Effect.suspend(() => {
        if (mark !== undefined && hasBegun) sockets?.distrust(mark)
        return Effect.fail(new Cause.TimeoutError(`cannot ${operation} in time`))
      })
      return Effect.andThen(begin, self).pipe(
        Effect.tapError((error) => {
          if (isReadOnly(error)) sockets?.leave()
          return isConflict(error) ? Effect.logDebug("lost a conflict over rows", error) : Effect.void
        }),
        Effect.retry({ while: isConflict, times: 5, schedule: Schedule.jittered(Schedule.exponential("10 millis")) }),
        (statement) => Effect.raceFirst(inShare(statement), Effect.delay(late, timeout)),
        asStoreError(operation)
      )
    })

/** Turns a database error into a `StoreError`, which is counted. Other errors pass unchanged. */
export const asStoreError =
  (operation: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StoreError | Exclude<E, DatabaseError>, R> =>
    self.pipe(
      Effect.mapError((error) =>
        isDatabaseError(error)
          ? new StoreError({ operation, reason: reasonOf(error), cause: error })
          : (error as Exclude<E, DatabaseError>)
      ),
      Effect.tapError((error) =>
        error instanceof StoreError && error.operation === operation
          ? FailureMetrics.storeFailed(operation, error.reason)
          : Effect.void
      )
    )

/** Whether the server is a standby or is configured to accept no writes. */
const isReadOnly = (error: unknown): boolean => SqlError.isSqlError(error) && codeOf(error) === "25006"

const isDatabaseError = (error: unknown): error is DatabaseError =>
  SqlError.isSqlError(error) || Schema.isSchemaError(error) || Cause.isTimeoutError(error)

const isConflict = (error: unknown): boolean =>
  SqlError.isSqlError(error) && (error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError")

/**
 * Classifies a failed statement by its SQLSTATE, because the driver distinguishes fewer kinds of errors than the
 * server. An error without an SQLSTATE is about a parameter or about the connection.
 */
export const reasonOf = (error: DatabaseError): StoreError["reason"] => {
  if (!SqlError.isSqlError(error)) return "unavailable"
  const code = codeOf(error)
  if (code === undefined) return error.reason.cause instanceof PgTypes.CodecError ? "rejected" : "unavailable"
  if (code === "57014") return "cancelled"
  return dataClasses.some((sqlClass) => code.startsWith(sqlClass)) ? "rejected" : "unavailable"
}

// cardinality violation, data exception, integrity constraint violation
const dataClasses = ["21", "22", "23"]
