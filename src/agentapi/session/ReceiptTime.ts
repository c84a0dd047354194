/**
 * The times of receipt of one connection: they fence off what was sent long before it is read.
 *
 * - Normally a report was received now.
 * - After the process has stalled, or the agent has connected again, older data may still be on its way here while the agent
 *   reports elsewhere. Until the agent has answered a ping that was sent since, everything counts as received before that:
 *   the newer values of the other connection win, and keys that are sampled once keep their value.
 */
import { DateTime, Effect, Latch, type Scope } from "effect"
import { StallDetector } from "../../platform/StallDetector.ts"

export interface ReceiptTime {
  /** The time of receipt of what was just read. */
  readonly now: Effect.Effect<DateTime.Utc>
  /** Fences off what may be on its way: it counts as received with the last report before. */
  readonly fence: Effect.Effect<void>
}

/** `roundTrip` returns when the agent has answered a ping that was sent since: older data has arrived by then. */
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
