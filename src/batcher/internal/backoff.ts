/** The retry policy of a batcher: how long to wait after a failed write that put its batch back. */
import { type Cause, Clock, Duration, Effect, Schedule } from "effect"
import type { LossReason } from "../BatcherErrors.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"

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
  /** Failures since the last write that succeeded. */
  attempts = 0
  /** How long to wait before the next attempt; `undefined` after success. */
  pause: Duration.Duration | undefined

  constructor(settings: ResolvedSettings, schedule: Retry<E, R> | undefined) {
    this.#settings = settings
    this.#schedule = schedule ?? byDefault(settings.interval)
  }

  reset(): void {
    this.attempts = 0
    this.#next = undefined
    this.pause = undefined
  }

  /** Decides about a batch that could not be written. */
  readonly onFailure = (cause: Cause.Cause<E>): Effect.Effect<LossReason | "retained", never, R> =>
    Effect.suspend(() => {
      this.attempts++
      if (this.#settings.onWriteFailure === "discard") return Effect.succeed("write_failed")
      if (this.attempts >= this.#settings.maxAttempts) return Effect.succeed(this.#giveUp())
      return Effect.map(this.#step(cause), (pause) => {
        if (pause === undefined) return this.#giveUp()
        this.pause = pause
        return "retained"
      })
    })

  #giveUp(): LossReason {
    this.#next = undefined
    this.pause = undefined
    return "given_up"
  }

  #step(cause: Cause.Cause<E>): Effect.Effect<Duration.Duration | undefined, never, R> {
    if (this.#next !== undefined) return this.#next(cause)
    return Effect.flatMap(Schedule.toStep(this.#schedule), (step) => {
      this.#next = (cause) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => step(now, cause)).pipe(
          Effect.map(([, pause]): Duration.Duration | undefined => pause),
          // the schedule has come to its end, or has a bug
          Effect.catchCause(() => Effect.undefined)
        )
      return this.#next(cause)
    })
  }
}
