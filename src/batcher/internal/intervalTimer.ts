/**
 * The timer of scheduled flushes.
 *
 * - A flush is due when the interval has passed since the last flush ended, and at the latest `maxAge` after something was
 *   accepted. The ticks go on at the same rate while nothing is pending, but nobody counts them: the timer runs only while
 *   something is held, and ends at its first tick when nothing is.
 * - One sleep serves many batches: to begin and end one per batch would cost more than all else that a batch costs.
 */
import { Clock, Context, Duration, Effect, type Fiber, Option } from "effect"
import type { ResolvedSettings } from "../BatcherSettings.ts"

interface Rules {
  /** Whether something is held that a tick may be for. */
  readonly isNeeded: () => boolean
  /** Whether nothing is being written. */
  readonly isIdle: () => boolean
  /** A flush is due. */
  readonly onTick: () => void
}

export class IntervalTimer<R> {
  readonly #interval: bigint | undefined
  readonly #maxAge: bigint | undefined
  readonly #clock: Clock.Clock
  readonly #runFork: (effect: Effect.Effect<void, never, R>) => Fiber.Fiber<void>
  readonly #rules: Rules
  #fiber: Fiber.Fiber<void> | undefined
  #idleSince: bigint
  #heldSince: bigint | undefined

  constructor({ interval, maxAge }: ResolvedSettings, context: Context.Context<R>, rules: Rules) {
    this.#interval = Option.getOrUndefined(Duration.toNanos(interval))
    this.#maxAge = Option.getOrUndefined(Duration.toNanos(maxAge))
    this.#clock = Context.get(context, Clock.Clock)
    this.#runFork = Effect.runForkWith(context)
    this.#rules = rules
    this.#idleSince = this.#clock.monotonicTimeNanosUnsafe()
  }

  /** Runs from now on, because something is held. */
  start(): void {
    if (this.#maxAge !== undefined) this.#heldSince ??= this.#clock.monotonicTimeNanosUnsafe()
    if (this.#fiber !== undefined || (this.#interval === undefined && this.#maxAge === undefined)) return
    if (this.#interval !== undefined && this.#rules.isIdle()) {
      const now = this.#clock.monotonicTimeNanosUnsafe()
      // the ticks since then, which nobody waited for
      this.#idleSince = now - ((now - this.#idleSince) % this.#interval)
    }
    const fiber = this.#runFork(this.#run)
    this.#fiber = fiber.pollUnsafe() === undefined ? fiber : undefined
  }

  stop(): void {
    this.#fiber?.interruptUnsafe()
    this.#fiber = undefined
  }

  /** Nothing is being written or held up any more. */
  onIdle(): void {
    const now = this.#clock.monotonicTimeNanosUnsafe()
    this.#idleSince = now
    if (!this.#isAgeOver(now)) return
    this.#heldSince = now
    this.#rules.onTick()
  }

  /** Everything that is held is on its way to be written. */
  onEmpty(): void {
    this.#heldSince = undefined
  }

  /** Everything that is held is about to be written. */
  onFlush(): void {
    this.#heldSince = this.#clock.monotonicTimeNanosUnsafe()
  }

  readonly #run: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.#rules.isNeeded()) {
      this.#fiber = undefined
      return Effect.void
    }
    const now = this.#clock.monotonicTimeNanosUnsafe()
    const left = this.#timeLeft(now)
    if (left > 0n) return Effect.flatMap(Effect.sleep(wholeMicros(left)), () => this.#run)
    // this tick is over, also if nothing can be written now
    this.#idleSince = now
    this.#heldSince = now
    this.#rules.onTick()
    return this.#run
  })

  #isAgeOver(now: bigint): boolean {
    return this.#maxAge !== undefined && this.#heldSince !== undefined && this.#heldSince + this.#maxAge <= now
  }

  /** Until the next tick. While something is being written none is due, and the interval begins anew. */
  #timeLeft(now: bigint): bigint {
    const isIdle = this.#rules.isIdle()
    const ofInterval = this.#interval && (isIdle ? this.#idleSince + this.#interval - now : this.#interval)
    // an age that is over while nothing can be written is seen to as soon as something can
    const isWaiting = !isIdle && this.#isAgeOver(now)
    const ofAge = this.#maxAge && (isWaiting ? this.#maxAge : (this.#heldSince ?? now) + this.#maxAge - now)
    if (ofInterval === undefined) return ofAge!
    return ofAge === undefined || ofInterval < ofAge ? ofInterval : ofAge
  }
}

/** Rounds up: a clock of tests that is set to a date tells less than a quarter of a microsecond from nothing. */
const wholeMicros = (nanos: bigint) => Duration.micros((nanos + 999n) / 1_000n)
