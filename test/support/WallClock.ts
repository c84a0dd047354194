/** The clock of the test, whose time of day can be set although no time passes. */
import type { Clock } from "effect"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

export const make = TestClock.testClockWith((own) =>
  Effect.sync(() => {
    let offset = 0
    const millis = () => own.currentTimeMillisUnsafe() + offset
    const nanos = () => own.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
    const clock: Clock.Clock = {
      ...own,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    return {
      clock,
      forward: (by: Duration.Input) => void (offset += Duration.toMillis(Duration.fromInputUnsafe(by))),
      back: (by: Duration.Input) => void (offset -= Duration.toMillis(Duration.fromInputUnsafe(by)))
    }
  })
)
