import { Predicate } from "effect"
import type { SqlError } from "effect/sql"

/**
 * Returns the code of the underlying error: the SQLSTATE when the server responded, or the system's error name when the
 * network failed. Errors that the client itself raised have no code.
 */
export const codeOf = ({ reason }: SqlError.SqlError): string | undefined =>
  Predicate.hasProperty(reason.cause, "code") && typeof reason.cause.code === "string" ? reason.cause.code : undefined
