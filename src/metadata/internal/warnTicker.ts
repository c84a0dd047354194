/** Lets something through at most once per interval. */
import { type Clock, Duration } from "effect"

/**
 * Returns whether a tick has come since the last call that returned true. As with the original's ticker, which has a
 * buffer of one, a tick that nobody took stays, and further ones pass. Changes of the time of day do not matter.
 */
export const makeWarnTicker = (clock: Clock.Clock, interval: Duration.Duration): (() => boolean) => {
  const start = clock.monotonicTimeNanosUnsafe()
  const length = Duration.toNanosUnsafe(Duration.min(interval, Duration.days(36_500)))
  let lastTick = 0n
  return () => {
    const tick = (clock.monotonicTimeNanosUnsafe() - start) / length
    const isNew = tick > lastTick
    lastTick = tick
    return isNew
  }
}
