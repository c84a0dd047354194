/** Tells the failures at the start of a process that pass when its database is up, or is back, a little later. */
import { Predicate } from "effect"
import { SqlError } from "effect/sql"
import { codeOf } from "./sqlCode.ts"

/** Whether the same attempt can succeed a little later, when the database has started. */
export const mayComeUp = (error: unknown): error is Error => {
  if (!SqlError.isSqlError(error)) return Predicate.hasProperty(error, "cause") && mayComeUp(error.cause)
  const code = codeOf(error)
  return code === undefined ? /timed out|closed/i.test(error.message) : passing.has(code)
}

const passing: ReadonlySet<string> = new Set([
  // no server, no network or no such host name yet
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  // shutting down, recovering or starting; no free connection
  "57P01",
  "57P02",
  "57P03",
  "53300"
])
