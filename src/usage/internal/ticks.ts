/** Work at a fixed rate, as a ticker of Go gives it. */
import { Clock, DateTime, Duration, Effect } from "effect"

/**
 * Runs `work` with the time of each tick, for ever. Ticks keep their rate by the monotonic clock, however long the work
 * takes: of the ticks during the work only the last one is made up for, at its end.
 */
export const ticks = <E, R>(
  interval: Duration.Duration,
  work: (at: DateTime.Utc) => Effect.Effect<void, E, R>
): Effect.Effect<never, E, R> =>
  Effect.gen(function* () {
    const period = Duration.toNanosUnsafe(interval)
    let due = yield* Clock.monotonicTimeNanos
    return yield* Effect.forever(
      Effect.gen(function* () {
        const now = yield* Clock.monotonicTimeNanos
        due += period
        yield* Effect.sleep(Duration.nanos(due - now))
        const late = (yield* Clock.monotonicTimeNanos) - due
        yield* work(DateTime.subtractDuration(yield* DateTime.now, Duration.nanos(late)))
        const passed = ((yield* Clock.monotonicTimeNanos) - due) / period
        if (passed > 1n) due += (passed - 1n) * period
      })
    )
  })
