/**
 * Collects the values of keys by their scripts, and reports them.
 *
 * - Each script runs at once, and again an interval after it began; a script with the interval zero runs once. A run that
 *   takes longer than its interval is followed by the next one at once, never joined by it.
 * - A sample waits for the next report, at most a second. A newer sample of its key replaces it.
 * - Samples of a report that fails wait for the next one, beneath newer ones.
 */
import { Duration, Effect, Latch } from "effect"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import * as Script from "./Script.ts"

/** A key, and the script of its values. */
export interface Key {
  readonly key: string
  readonly script: string
  /** Zero runs the script once. */
  readonly interval: Duration.Duration
  /** Zero means none. */
  readonly timeout: Duration.Duration
}

export interface Sample {
  readonly value: string
  readonly error: string
}

/** The pause between two reports. */
const reportPause = Duration.seconds(1)

/** Samples that have not been reported. They outlive a connection. */
export const make = () => {
  const waiting = new Map<string, Sample>()
  const isWaiting = Latch.makeUnsafe()

  const put = (key: string, sample: Sample) => {
    waiting.set(key, sample)
    isWaiting.openUnsafe()
  }

  /** Collects the values of a key until it is interrupted, or once. */
  const collect = ({ interval, key, script, timeout }: Key) => {
    const once = Effect.gen(function* () {
      const begun = yield* MonotonicClock.millis
      put(key, yield* sampleOf(script, timeout))
      return Duration.millis((yield* MonotonicClock.millis) - begun)
    })
    if (Duration.isZero(interval)) return Effect.asVoid(once)
    return Effect.forever(Effect.flatMap(once, (passed) => Effect.sleep(Duration.subtract(interval, passed))))
  }

  /** Sends everything that waits, if something does. */
  const flush = <E, R>(send: Send<E, R>): Effect.Effect<void, E, R> =>
    Effect.suspend(() => {
      if (waiting.size === 0) return Effect.void
      const samples = new Map(waiting)
      waiting.clear()
      isWaiting.closeUnsafe()
      return Effect.onError(send(samples), () =>
        Effect.sync(() => {
          for (const [key, sample] of samples) if (!waiting.has(key)) put(key, sample)
        })
      )
    })

  /** Reports samples as they come, until a report fails. */
  const report = <E, R>(send: Send<E, R>): Effect.Effect<never, E, R> =>
    Effect.forever(Effect.andThen(Effect.andThen(isWaiting.await, flush(send)), Effect.sleep(reportPause)))

  return { collect, flush, report }
}

export type Samples = ReturnType<typeof make>

// ----- internals -----

type Send<E, R> = (samples: ReadonlyMap<string, Sample>) => Effect.Effect<void, E, R>

const sampleOf = (script: string, timeout: Duration.Duration) =>
  Script.run(script, { timeout }).pipe(
    Effect.map((value): Sample => ({ value, error: "" })),
    Effect.catch(({ message, output }) => Effect.succeed<Sample>({ value: output, error: message }))
  )
