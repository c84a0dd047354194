/** The errors that callers of a batcher get about updates that are not written. */
import { type Cause, Data } from "effect"

/**
 * Why an update was not accepted: `full` (no room), `quota` (its source has as many as it may have), `closed` (closing has
 * begun), or `nested` (a write or an observer of this batcher asked to wait for the batcher, which could never end).
 */
export type DropReason = "full" | "quota" | "closed" | "nested"

/**
 * Why an accepted update will never be written: `write_failed` (the write failed and failed batches are discarded),
 * `given_up` (the retry policy allows no further attempt), `shutdown` (closing took too long), `evicted` (it made room
 * for others), or `defect` (a rule of the batcher threw).
 */
export type LossReason = "write_failed" | "given_up" | "shutdown" | "evicted" | "defect"

/** Updates were not accepted. */
export class Dropped<A = unknown> extends Data.TaggedError("Dropped")<{
  /** The updates that were not accepted, in their order. */
  readonly updates: ReadonlyArray<A>
  /** Why they were not accepted. */
  readonly reason: DropReason
}> {
  override get message() {
    return `${this.updates.length} updates were dropped: ${dropMessages[this.reason]}`
  }
}

const dropMessages: Record<DropReason, string> = {
  full: "the batcher is full; use offer to wait for room",
  quota: "their source has as many as it may have; use offer to wait for room",
  closed: "the batcher has closed",
  nested: "a write or an observer of a batcher must not wait for the same batcher"
}

/** The store rejected updates because of their data. */
export class Rejected<A = unknown, E = unknown> extends Data.TaggedError("Rejected")<{
  /** The updates that were rejected, as they were merged. */
  readonly updates: ReadonlyArray<A>
  /** The error of the store. */
  readonly error: E
}> {
  override get message() {
    return `${this.updates.length} updates were rejected by the store`
  }
}

/** Accepted updates will never be written. */
export class Lost<A = unknown, E = unknown> extends Data.TaggedError("Lost")<{
  /** The updates that were lost, as they were merged. */
  readonly updates: ReadonlyArray<A>
  /** Why they were lost. */
  readonly reason: LossReason
  /** The failure of the last write, if there was one. */
  readonly cause?: Cause.Cause<E> | undefined
}> {
  override get message() {
    return `${this.updates.length} updates were lost: ${this.reason}`
  }
}
