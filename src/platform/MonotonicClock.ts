/** Milliseconds since some fixed moment. They never jump, whatever is done to the time of day. */
import { Clock, Effect } from "effect"

export const millisUnsafe = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export const millis: Effect.Effect<number> = Clock.clockWith((clock) => Effect.sync(() => millisUnsafe(clock)))
