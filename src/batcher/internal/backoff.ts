/** The retry policy of a batcher: how long to wait after a failed write that put its batch back. */
import { type Cause, Clock, Duration, Effect, Pull, Schedule } from "effect"
import type { LossReason } from "../BatcherErrors.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"
import type { Batch } from "./batch.ts"

/** The pause after the first failure; it doubles from failure to failure. */
const initialBackoff = "100 millis"

/** The longest pause by default, whatever the interval. */
const maxBackoff = Duration.seconds(30)

/** How much longer or shorter than its value a jittered pause may be. */
const jitter = 1.2

/**
 * A policy of attempts. The schedule gets the cause of each failed write and says how long to pause; the batch is given up
 * when the schedule ends.
 */
export type Retry<E, R> = Schedule.Schedule<unknown, Cause.Cause<E>, never, R>

/** Pauses that double from 100 ms up to the interval, at most 30 seconds, with jitter. */
const byDefault = (interval: Duration.Duration): Retry<unknown, never> => {
  const longest = Duration.min(interval, maxBackoff)
  return Schedule.min([
    Schedule.jittered(Schedule.exponential(initialBackoff)),
    Schedule.jittered(Schedule.spaced(Duration.divideUnsafe(longest, jitter))),
    Schedule.spaced(longest)
  ])
}

export class Backoff<E, R> {
  readonly #settings: ResolvedSettings
  readonly #schedule: Retry<E, R>
  #next: ((cause: Cause.Cause<E>) => Effect.Effect<Duration.Duration | undefined, never, R>) | undefined
  readonly #onDefect: (defect: unknown) => void
  /** Failures since the last batch that was written or given up. */
  attempts = 0

  constructor(settings: ResolvedSettings, schedule: Retry<E, R> | undefined, onDefect: (defect: unknown) => void) {
    this.#settings = settings
    this.#schedule = schedule ?? byDefault(settings.interval)
    this.#onDefect = onDefect
  }

  reset(): void {
    this.attempts = 0
    this.#next = undefined
  }

  /** Decides about a batch that could not be written, and how long to wait before the next attempt. */
  readonly onFailure = <A>(batch: Batch<A, E>, cause: Cause.Cause<E>) =>
    Effect.suspend((): Effect.Effect<LossReason | "retained", never, R> => {
      this.attempts++
      if (this.#settings.onWriteFailure === "discard") return Effect.succeed("write_failed")
      if (this.attempts >= this.#settings.maxAttempts) return Effect.succeed("given_up")
      return Effect.map(this.#step(cause), (pause) => {
        batch.pause = pause
        return pause === undefined ? "given_up" : "retained"
      })
    })

  #step(cause: Cause.Cause<E>): Effect.Effect<Duration.Duration | undefined, never, R> {
    if (this.#next !== undefined) return this.#next(cause)
    return Effect.flatMap(Schedule.toStep(this.#schedule), (step) => {
      this.#next = (cause) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => step(now, cause)).pipe(
          Effect.map(([, pause]): Duration.Duration | undefined => pause),
          // the schedule has come to its end, or has a bug
          Effect.catchCause((cause) => {
            if (!Pull.isDoneCause(cause)) this.#onDefect(cause)
            return Effect.undefined
          })
        )
      return this.#next(cause)
    })
  }
}
