/** Warns of lost batches where nobody listens for them. */
import { Cause, Clock, Duration, Effect } from "effect"
import type { Failed, Observer } from "../BatcherObserver.ts"

const warnEvery = Duration.toNanosUnsafe(Duration.seconds(10))

/** Tells the observer of failed writes. If it does not listen for them there is a warning, at most every 10 seconds. */
export const onFailedOf = <A, E, R>(observer: Observer<A, E, R>) => {
  let warnedAt: bigint | undefined
  const warn = ({ cause, reason, retained, unwritten }: Failed<A, E>) =>
    Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
      if (warnedAt !== undefined && now - warnedAt < warnEvery) return Effect.void
      warnedAt = now
      return Effect.logWarning("batch could not be written", Cause.squash(cause)).pipe(
        Effect.annotateLogs({ reason, updates: unwritten.length, retained })
      )
    })
  return (flush: Failed<A, E>): Effect.Effect<void, never, R> =>
    observer.onFailed === undefined ? warn(flush) : observer.onFailed(flush)
}
