/** Attempts at the start of a process, whose database may be up, or be back, a little later. */
import { type Duration, Predicate, Schedule } from "effect"
import { SqlError } from "effect/sql"
import { codeOf } from "./sqlCode.ts"

/** Attempts for so long: at once, then ever more rarely, at least every two seconds. */
export const startSchedule = (timeout: Duration.Input) =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(
    Schedule.upTo({ duration: timeout })
  )

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
