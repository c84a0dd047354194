/**
 * Provides the times of receipt for one connection, and fences off data that was sent long before it is read.
 *
 * - Normally the time of receipt is now.
 * - After the process has stalled, or the agent has connected again, older data may still arrive on this connection
 *   while the agent reports on another one. Such a connection is fenced.
 * - Everything that arrives on a fenced connection gets a time of receipt before the fence. The newer values of the
 *   other connection therefore win, and keys that are sampled once keep their value.
 * - The fence ends when the agent has answered a ping that was sent after the fence began.
 */
import { type Context, DateTime, Effect, type Fiber, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import { StallDetector } from "../../platform/StallDetector.ts"

export interface ReceiptTime {
  /** The time of receipt of the data that was just read. */
  readonly now: Effect.Effect<DateTime.Utc>
  /** Fences off data that may be on its way: it counts as received at the time of the last report before the fence. */
  readonly fence: Effect.Effect<void>
}

/** `roundTrip` pings the agent and returns when the agent has answered: older data has arrived by then. */
export const make = Effect.fnUntraced(function* (
  roundTrip: Effect.Effect<void>
): Effect.fn.Return<ReceiptTime, never, StallDetector | Scope.Scope> {
  const stalls = yield* StallDetector
  const fence = new Fence(stalls, roundTrip, yield* DateTime.now, yield* Effect.context<never>())
  yield* LeanScope.acquireRelease(
    Effect.sync(() => stalls.onStallUnsafe((time) => fence.raiseUnsafe(time))),
    (remove) =>
      Effect.sync(() => {
        remove()
        fence.endUnsafe()
      })
  )
  return fence
})

// a class: each connection has one
class Fence implements ReceiptTime {
  readonly #stalls: StallDetector["Service"]
  readonly #roundTrip: Effect.Effect<void>
  readonly #context: Context.Context<never>
  #last: DateTime.Utc
  #fencedAt: DateTime.Utc | undefined
  #isFencedAgain = false
  #lifting: Fiber.Fiber<void> | undefined

  constructor(
    stalls: StallDetector["Service"],
    roundTrip: Effect.Effect<void>,
    now: DateTime.Utc,
    context: Context.Context<never>
  ) {
    this.#stalls = stalls
    this.#roundTrip = roundTrip
    this.#last = now
    this.#context = context
  }

  get now() {
    return Effect.map(DateTime.now, (now) => {
      this.#stalls.checkUnsafe()
      if (this.#fencedAt !== undefined) return this.#fencedAt
      this.#last = now
      return now
    })
  }

  get fence() {
    return Effect.sync(() => this.raiseUnsafe(this.#last))
  }

  raiseUnsafe(time: DateTime.Utc) {
    this.#isFencedAgain = this.#fencedAt !== undefined
    this.#fencedAt ??= DateTime.max(this.#last, time)
    if (!this.#isFencedAgain) this.#lifting = Effect.runForkWith(this.#context)(this.#lift())
  }

  endUnsafe() {
    this.#lifting?.interruptUnsafe()
  }

  #lift() {
    const roundTrip = Effect.suspend(() => {
      this.#isFencedAgain = false
      return this.#roundTrip
    })
    return Effect.repeat(roundTrip, { while: () => this.#isFencedAgain }).pipe(
      Effect.andThen(Effect.sync(() => void (this.#fencedAt = undefined)))
    )
  }
}
