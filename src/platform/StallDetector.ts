/**
 * Detects that the process did not run for a while: it was stopped, its machine slept or something blocked its event
 * loop.
 *
 * Data that the process reads afterwards may have waited in the network since the stall began.
 */
import { Clock, Context, DateTime, type Duration, Effect, Layer } from "effect"
import * as MonotonicClock from "./MonotonicClock.ts"

const tickInterval: Duration.Input = "500 millis"

/** The shortest stall that is detected, in milliseconds. */
const minimumMillis = 2_000

export class StallDetector extends Context.Service<
  StallDetector,
  {
    /** Detects a stall that ended just now, before anything else can run. */
    readonly checkUnsafe: () => void
    /**
     * Calls `listener` after each stall, with the time at which the process last ran before it. Returns a function that
     * removes the listener.
     */
    readonly onStallUnsafe: (listener: (lastRan: DateTime.Utc) => void) => () => void
  }
>()("metadata-batcher/platform/StallDetector") {}

export const layer: Layer.Layer<StallDetector> = Layer.effect(
  StallDetector,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const listeners = new Set<(lastRan: DateTime.Utc) => void>()
    let ranAt = MonotonicClock.millisUnsafe(clock)
    let ranAtTime = clock.currentTimeMillisUnsafe()

    const checkUnsafe = () => {
      const now = MonotonicClock.millisUnsafe(clock)
      const [isStall, lastRan] = [now - ranAt >= minimumMillis, ranAtTime]
      ranAt = now
      ranAtTime = clock.currentTimeMillisUnsafe()
      if (!isStall) return
      const time = DateTime.makeUnsafe(lastRan)
      for (const listener of listeners) listener(time)
    }
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(checkUnsafe), tickInterval)))

    return {
      checkUnsafe,
      onStallUnsafe: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      }
    }
  })
)
