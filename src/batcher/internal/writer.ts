/**
 * Writes one batch: as a whole if the store takes it, in ever smaller parts while the store rejects its data.
 */
import { Cause, Effect, Exit, Option } from "effect"
import { Lost, type LossReason, Rejected } from "../BatcherErrors.ts"
import { type Failed, type FlushReason, notify, type Observer, type Written } from "../BatcherObserver.ts"
import type { Batch } from "./batch.ts"
import type { Ledger } from "./ledger.ts"

export interface WriterOptions<A, E, R> {
  readonly write: (batch: ReadonlyArray<A>, reason: FlushReason, onStored: () => void) => Effect.Effect<unknown, E, R>
  readonly isRejection: ((error: E) => boolean) | undefined
  readonly observer: Observer<A, E, R>
  /** Tells of a failed write. */
  readonly onFailed: (flush: Failed<A, E>) => Effect.Effect<void, never, R>
  readonly ledger: Ledger
  /** Decides what becomes of updates that could not be written. */
  readonly onFailure: (batch: Batch<A, E>, cause: Cause.Cause<E>) => Effect.Effect<LossReason | "retained", never, R>
  /** Puts the unwritten updates of a batch back. */
  readonly restore: (batch: Batch<A, E>) => void
  /** Records a batch that was written. */
  readonly onWritten: (flush: Omit<Written<A>, "updates">) => void
  /** Failed attempts in a row. */
  readonly attempts: () => number
}

export const makeWriter = <A, E, R>(options: WriterOptions<A, E, R>) => {
  const { ledger, observer } = options

  const attempt = (part: ReadonlyArray<A>, reason: FlushReason, onStored: () => void): Effect.Effect<unknown, E, R> =>
    Effect.suspend(() => {
      const writing: unknown = options.write(part, reason, onStored)
      return Effect.isEffect(writing)
        ? (writing as Effect.Effect<unknown, E, R>)
        : Effect.die(new TypeError("the write of a batcher must return an Effect: wrap promises in Effect.tryPromise"))
    })

  /** The error of a failure that is the fault of the data. A rule that throws says no. */
  const rejectionOf = (cause: Cause.Cause<E>): Option.Option<E> => {
    if (options.isRejection === undefined) return Option.none()
    try {
      return Option.filter(Cause.findErrorOption(cause), options.isRejection)
    } catch {
      return Option.none()
    }
  }

  const settleWritten = (batch: Batch<A, E>, to: number) => {
    const count = to - batch.settled
    // a store may say so late, when all is settled or was taken from the batch
    if (count <= 0) return
    ledger.written += count
    batch.written += count
    if (batch.tally !== undefined) batch.tally.written += count
    batch.settle(to)
  }

  const settleRejected = (batch: Batch<A, E>, error: E) => {
    ledger.rejected++
    if (batch.tally !== undefined) batch.tally.rejected++
    const index = batch.settled
    batch.rejected = (batch.rejected ?? new Set()).add(index)
    batch.settle(index + 1, (update) => new Rejected({ updates: [update], error }))
    return notify(() => observer.onRejected?.(batch.updates[index]!, error))
  }

  /** Writes the updates from the settled ones on, up to index `to`. */
  const writeTo = (batch: Batch<A, E>, to: number): Effect.Effect<void, never, R> => {
    const from = batch.settled
    const part = batch.updates.slice(from, to)
    const onStored = () => settleWritten(batch, to)
    return Effect.flatMap(Effect.exit(attempt(part, batch.reason, onStored)), (exit) => {
      if (batch.isRevoked) return Effect.void
      if (Exit.isSuccess(exit)) {
        settleWritten(batch, to)
        return Effect.void
      }
      const rejection = batch.settled === to ? Option.none() : rejectionOf(exit.cause)
      if (Option.isNone(rejection)) {
        batch.failure = exit.cause
        return Effect.void
      }
      if (to - from === 1) return settleRejected(batch, rejection.value)
      return Effect.flatMap(writeTo(batch, from + ((to - from) >> 1)), () =>
        batch.failure === undefined && !batch.isRevoked ? writeTo(batch, to) : Effect.void
      )
    })
  }

  /** Settles what a failure has left. Returns how to tell the observer of it. */
  const settleFailure = (batch: Batch<A, E>, cause: Cause.Cause<E>, fate: LossReason | "retained") => {
    const unwritten = batch.unwritten
    ledger.failures++
    if (fate === "retained") {
      options.restore(batch)
      ledger.retained += unwritten.length
      if (batch.tally !== undefined) batch.tally.retained += unwritten.length
    } else {
      ledger.lost[fate] += unwritten.length
      if (batch.tally !== undefined) batch.tally.lost += unwritten.length
      batch.settle(batch.updates.length, (update) => new Lost({ updates: [update], reason: fate, cause }))
    }
    return unwritten
  }

  return Effect.fnUntraced(function* (batch: Batch<A, E>) {
    yield* notify(() => observer.onTake?.(batch.updates, batch.reason))
    const [elapsed] = yield* Effect.timed(writeTo(batch, batch.updates.length))
    const { failure: cause, reason } = batch
    const fate = cause === undefined ? undefined : yield* options.onFailure(batch, cause)
    if (batch.isRevoked) return
    const { written, writtenUpdates: updates } = batch
    const unwritten = fate === undefined ? [] : settleFailure(batch, cause!, fate)
    if (written > 0) {
      options.onWritten({ reason, count: written, elapsed })
      yield* notify(() => observer.onWritten?.({ reason, count: written, elapsed, updates }))
    }
    if (fate === undefined) return
    const retained = fate === "retained"
    const attempts = options.attempts()
    yield* notify(() => options.onFailed({ reason, cause: cause!, unwritten, retained, elapsed }))
    if (fate === "given_up") yield* notify(() => observer.onGivenUp?.({ updates: unwritten, cause: cause!, attempts }))
  })
}
