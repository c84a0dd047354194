/** Defines the error of a database that cannot be used. */
import { Schema } from "effect"

/**
 * The database cannot be used.
 *
 * - `url`: the URL is invalid.
 * - `unreachable`: the database did not respond in time.
 * - `refused`: the database responded, and cannot serve us in its present state.
 * - `schema`: a migration failed and was rolled back.
 */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", {
  /** Why it cannot be used: see above. */
  reason: Schema.Literals(["url", "unreachable", "refused", "schema"]),
  /** The message, which says what to do. It does not contain the password. */
  detail: Schema.String,
  /** The error of the driver, if there is one. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}
