/** The error of a database that cannot be used. */
import { Schema } from "effect"

/**
 * - `url`: the URL cannot be understood.
 * - `unreachable`: the database did not answer in time.
 * - `refused`: it answered and cannot serve us as things are.
 * - `schema`: a migration failed; nothing of it remains.
 */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", {
  reason: Schema.Literals(["url", "unreachable", "refused", "schema"]),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}

/** The message of the innermost cause. Several failed addresses have no message but a code in common. */
export const rootOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return rootOf(error.cause)
  return error.message === "" && "code" in error ? String(error.code) : error.message
}
