import { Predicate } from "effect"
import type { SqlError } from "effect/sql"

/**
 * The code of what went wrong underneath: an SQLSTATE when the server answered, the system's name of the error when the
 * network did not. Errors that the client itself raised have none.
 */
export const codeOf = ({ reason }: SqlError.SqlError): string | undefined =>
  Predicate.hasProperty(reason.cause, "code") && typeof reason.cause.code === "string" ? reason.cause.code : undefined
