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
import { DateTime, Effect, Latch, type Scope } from "effect"
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
  let last = yield* DateTime.now
  let fencedAt: DateTime.Utc | undefined
  let fences = 0
  const fenced = Latch.makeUnsafe(false)

  const fenceUnsafe = (time: DateTime.Utc) => {
    fencedAt ??= DateTime.max(last, time)
    fences++
    fenced.openUnsafe()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => stalls.onStallUnsafe(fenceUnsafe)),
    (remove) => Effect.sync(remove)
  )
  const lift = Effect.gen(function* () {
    yield* fenced.await
    yield* fenced.close
    const seen = fences
    yield* roundTrip
    if (fences === seen) fencedAt = undefined
  })
  yield* Effect.forkScoped(Effect.forever(lift))

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
