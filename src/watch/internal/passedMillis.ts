/** The milliseconds that have passed since some moment, whatever is done to the time of day. */
import { Clock, Effect } from "effect"

export const passedMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
