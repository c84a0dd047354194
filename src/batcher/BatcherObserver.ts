/**
 * The notifications of a batcher about its updates.
 *
 * An observer hears of every batch before it is written, and of its outcome. An observer that fails is logged and affects
 * neither the batcher nor the updates that it was told about.
 */
import { type Cause, type Duration, Effect } from "effect"
import type { LossReason } from "./BatcherErrors.ts"

/** The trigger of a flush. */
export type FlushReason = "capacity" | "scheduled" | "manual" | "shutdown"

/** A batch of which at least a part was written. */
export interface Written<A> {
  /** The trigger of the flush. */
  readonly reason: FlushReason
  /** How many updates were written. */
  readonly count: number
  /** The time that the writes took. */
  readonly elapsed: Duration.Duration
  /** The updates that were written, as they were merged. */
  readonly updates: ReadonlyArray<A>
}

/** A batch whose write failed. */
export interface Failed<A, E> {
  /** The trigger of the flush. */
  readonly reason: FlushReason
  /** The failure of the last write. */
  readonly cause: Cause.Cause<E>
  /** The updates that were not written. */
  readonly unwritten: ReadonlyArray<A>
  /** Whether the updates were put back for another attempt; otherwise they are lost. */
  readonly retained: boolean
  /** The time that the writes took. */
  readonly elapsed: Duration.Duration
}

/** Updates that will not be tried again, after as many attempts as the retry policy allows. */
export interface GivenUp<A, E> {
  /** The updates that are lost, as they were merged. */
  readonly updates: ReadonlyArray<A>
  /** The failure of the last attempt. */
  readonly cause: Cause.Cause<E>
  /** Failed attempts in a row. */
  readonly attempts: number
}

/** The end of a batcher. */
export interface Closed<A> {
  /** Updates written while it drained. */
  readonly written: number
  /** Updates lost, because `shutdownTimeout` was over. */
  readonly cutOff: number
  /** The updates that were lost, oldest first: keep them in a file, for example, and add them at the next start. */
  readonly updates: ReadonlyArray<A>
}

/** Is told the outcome of updates. It delays the batcher; if it fails, that is logged and no more. */
export interface Observer<A, E, R = never> {
  /** A batch is about to be written. */
  readonly onTake?: ((batch: ReadonlyArray<A>, reason: FlushReason) => Effect.Effect<void, never, R>) | undefined
  /** A batch, or a part of one, was written. */
  readonly onWritten?: ((flush: Written<A>) => Effect.Effect<void, never, R>) | undefined
  /** The write of a batch failed. */
  readonly onFailed?: ((flush: Failed<A, E>) => Effect.Effect<void, never, R>) | undefined
  /** The store rejected an update because of its data; it is lost. */
  readonly onRejected?: ((update: A, error: E) => Effect.Effect<void, never, R>) | undefined
  /** The retry policy allows no further attempt; the updates are lost. Called after `onFailed`. */
  readonly onGivenUp?: ((given: GivenUp<A, E>) => Effect.Effect<void, never, R>) | undefined
  /** Accepted updates are lost without an attempt to write them. */
  readonly onLost?: ((updates: ReadonlyArray<A>, reason: LossReason) => Effect.Effect<void, never, R>) | undefined
  /** Closing has begun: nothing more is accepted. */
  readonly onDraining?: ((held: number) => Effect.Effect<void, never, R>) | undefined
  /** The batcher has closed. */
  readonly onClosed?: ((end: Closed<A>) => Effect.Effect<void, never, R>) | undefined
}

/** Tells an observer something; a failure of the observer is logged. */
export const notify = <R>(event: () => Effect.Effect<void, never, R> | undefined): Effect.Effect<void, never, R> =>
  Effect.catchCause(
    Effect.suspend(() => {
      const told = event()
      if (told === undefined) return Effect.void
      return Effect.isEffect(told) ? told : Effect.die(new TypeError("an observer of a batcher must return an Effect"))
    }),
    (cause) => Effect.logError("batcher observer failed", cause)
  )
