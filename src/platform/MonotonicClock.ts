/** Milliseconds since some fixed moment. They never jump, whatever is done to the time of day. */
import { Clock, Effect } from "effect"

export const millisUnsafe = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export const millis: Effect.Effect<number> = Clock.clockWith((clock) => Effect.sync(() => millisUnsafe(clock)))

/**
 * Rounds milliseconds up to whole microseconds: a clock of tests that is set to a date tells less than a quarter of one from
 * nothing, and who sleeps until a time has come, and looks again, would look for ever.
 */
export const wholeMicros = (millis: number): number => Math.ceil(millis * 1e3) / 1e3
