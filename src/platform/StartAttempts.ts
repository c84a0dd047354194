/** When a process tries again, at its start, what needs a server that may be up, or be back, a little later. */
import { type Duration, Schedule } from "effect"

/** Attempts for so long: at once, then ever more rarely, at least every two seconds. */
export const schedule = (timeout: Duration.Input) =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(
    Schedule.upTo({ duration: timeout })
  )
