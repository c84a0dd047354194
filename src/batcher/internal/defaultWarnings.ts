/** Warns of lost batches where nobody listens for them. */
import { Cause, Clock, Duration, Effect } from "effect"
import type { Failed, Observer } from "../BatcherObserver.ts"

const warnEvery = Duration.toNanosUnsafe(Duration.seconds(10))

/** The observer, and a warning at most every 10 seconds of failed writes if it does not listen for them. */
export const withDefaultWarnings = <A, E, R>(observer: Observer<A, E, R>): Observer<A, E, R> => {
  if (observer.onFailed !== undefined) return observer
  let warnedAt: bigint | undefined
  const onFailed = ({ cause, reason, retained, unwritten }: Failed<A, E>) =>
    Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
      if (warnedAt !== undefined && now - warnedAt < warnEvery) return Effect.void
      warnedAt = now
      return Effect.logWarning("batch could not be written", Cause.squash(cause)).pipe(
        Effect.annotateLogs({ reason, updates: unwritten.length, retained })
      )
    })
  return { ...observer, onFailed }
}
