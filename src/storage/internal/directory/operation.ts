/** Runs one operation of the directory. */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { directoryUnavailable } from "../../../access/AccessError.ts"
import { NameTaken } from "../../../admin/Directory.ts"
import { storeOperation } from "../storeOperation.ts"

/** Runs `self` as a `storeOperation`. A failure of the database is logged and becomes a `DirectoryUnavailable`. */
export const directoryOperation =
  (sql: SqlClient.SqlClient, operation: string) =>
  <A, E extends Error, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      storeOperation(sql, "readers", operation, "30 seconds"),
      Effect.catchTag("StoreError", directoryUnavailable)
    )

/** Turns the violation of a unique name into `NameTaken`. */
export const nameTaken =
  (message: string) =>
  <A, R>(self: Effect.Effect<A, SqlError.SqlError, R>) =>
    Effect.catchReason(self, "SqlError", "UniqueViolation", () => Effect.fail(new NameTaken({ message })))
