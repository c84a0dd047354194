/** How long `/healthz` of a replica takes while something goes on. */
import { Duration, Effect, Schedule } from "effect"
import type { Replica } from "./Replica.ts"

export const watchHealth = (replica: Replica) => {
  let longest = 0
  return {
    /** The longest so far, in milliseconds; infinite when the replica did not answer at all. */
    longest: () => longest,
    /** Asks twice a second. */
    watching: Effect.timed(replica.health).pipe(
      Effect.map(([elapsed]) => Duration.toMillis(elapsed)),
      Effect.catchDefect(() => Effect.succeed(Infinity)),
      Effect.map((elapsed) => (longest = Math.max(longest, elapsed))),
      Effect.repeat(Schedule.spaced("500 millis"))
    )
  }
}
