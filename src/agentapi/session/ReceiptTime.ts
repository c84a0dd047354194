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
import { DateTime, Effect, type Fiber, type Scope } from "effect"
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
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  let last = yield* DateTime.now
  let fencedAt: DateTime.Utc | undefined
  let isFencedAgain = false
  let lifting: Fiber.Fiber<void> | undefined

  const roundTripAfterFence = Effect.suspend(() => {
    isFencedAgain = false
    return roundTrip
  })
  const lift = Effect.repeat(roundTripAfterFence, { while: () => isFencedAgain }).pipe(
    Effect.andThen(Effect.sync(() => void (fencedAt = undefined)))
  )
  const fenceUnsafe = (time: DateTime.Utc) => {
    isFencedAgain = fencedAt !== undefined
    fencedAt ??= DateTime.max(last, time)
    if (!isFencedAgain) lifting = runFork(lift)
  }
  yield* LeanScope.acquireRelease(
    Effect.sync(() => stalls.onStallUnsafe(fenceUnsafe)),
    (remove) =>
      Effect.sync(() => {
        remove()
        lifting?.interruptUnsafe()
      })
  )

  return {
    now: Effect.map(DateTime.now, (now) => {
      stalls.checkUnsafe()
      if (fencedAt !== undefined) return fencedAt
      last = now
      return now
    }),
    fence: Effect.sync(() => fenceUnsafe(last))
  }
})
