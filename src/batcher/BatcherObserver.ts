/**
 * What a batcher tells about its updates.
 *
 * An observer hears of every batch that is about to be written, and of what became of it. One that dies does not take
 * along what it was told about.
 */
import { type Cause, type Duration, Effect } from "effect"

/** Why a flush was made. */
export type FlushReason = "capacity" | "scheduled" | "manual" | "shutdown"

/** A flush of which at least a part was written. */
export interface Written {
  readonly reason: FlushReason
  readonly count: number
  readonly elapsed: Duration.Duration
}

/** A flush that failed, with what of its batch it left unwritten. */
export interface Failed<A, E> {
  readonly reason: FlushReason
  readonly cause: Cause.Cause<E>
  readonly unwritten: ReadonlyArray<A>
  /** Whether the updates were put back; otherwise they are lost. */
  readonly retained: boolean
  readonly elapsed: Duration.Duration
}

/** Is told what becomes of updates. What it does delays the batcher; when it dies, that is logged and no more. */
export interface Observer<A, E> {
  /** A batch is about to be written. */
  readonly onTake?: ((batch: ReadonlyArray<A>) => Effect.Effect<void>) | undefined
  readonly onWritten?: ((flush: Written) => Effect.Effect<void>) | undefined
  readonly onFailed?: ((flush: Failed<A, E>) => Effect.Effect<void>) | undefined
  /** An update was refused for what it is, and is lost. */
  readonly onRejected?: ((update: A, error: E) => Effect.Effect<void>) | undefined
  /** The batcher has closed: `written` updates while it drained, `cutOff` ones lost to the timeout. */
  readonly onClosed?: ((end: { readonly written: number; readonly cutOff: number }) => Effect.Effect<void>) | undefined
}

/** Says something to an observer; when that dies, it is logged. */
export const tell = (say: () => Effect.Effect<void> | undefined): Effect.Effect<void> =>
  Effect.catchCause(
    Effect.suspend(() => say() ?? Effect.void),
    (cause) => Effect.logError("an observer of a batcher failed", cause)
  )
