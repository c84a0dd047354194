/** A batch on its way to the store, and what has become of each of its updates so far. */
import type { Cause, Duration } from "effect"
import type { FlushReason } from "../BatcherObserver.ts"
import type { Lost, Rejected } from "../BatcherErrors.ts"
import type { NotWritten } from "./acknowledge.ts"
import type { Waiting } from "./receipts.ts"

/** Why an update with a receipt was not written. */
export type Outcome<A, E> = Rejected<A, E> | Lost<A, E>

/** The counts of a requested flush. */
export interface Tally {
  written: number
  rejected: number
  lost: number
  retained: number
}

export class Batch<A, E> {
  readonly updates: ReadonlyArray<A>
  readonly reason: FlushReason
  /** The receipts that wait for each update, by its index. */
  readonly receipts: ReadonlyArray<Waiting<NotWritten<A, E>>> | undefined
  readonly partitions: ReadonlySet<unknown> | undefined
  /** The counts of the flush that waits for this batch. */
  tally: Tally | undefined
  /** The part of `maxPending` that it takes. */
  room = 0
  /** The part of `maxPendingBytes` that it takes. */
  bytes = 0
  /** Updates settled so far, from the first on. */
  settled = 0
  written = 0
  rejected: Set<number> | undefined
  failure: Cause.Cause<E> | undefined
  /** How long to wait before the next attempt, where its updates were put back. */
  pause: Duration.Duration | undefined
  /** Whether its updates were taken from it: nothing that it comes to counts any more. */
  isRevoked = false

  constructor(
    updates: ReadonlyArray<A>,
    reason: FlushReason,
    receipts: ReadonlyArray<Waiting<NotWritten<A, E>>> | undefined,
    partitions: ReadonlySet<unknown> | undefined
  ) {
    this.updates = updates
    this.reason = reason
    this.receipts = receipts
    this.partitions = partitions
  }

  /** Updates of which is not known yet what becomes of them. */
  get left(): number {
    return this.updates.length - this.settled
  }

  get unwritten(): ReadonlyArray<A> {
    return this.settled === 0 ? this.updates : this.updates.slice(this.settled)
  }

  /** The updates that were written. */
  get writtenUpdates(): ReadonlyArray<A> {
    if (this.written === this.updates.length) return this.updates
    return this.updates.slice(0, this.settled).filter((_, index) => this.rejected?.has(index) !== true)
  }

  /** Tells those who wait for the updates from the settled ones on, up to index `to`, what has become of them. */
  settle(to: number, outcome?: (update: A) => Outcome<A, E>): void {
    if (this.receipts !== undefined) {
      for (let index = this.settled; index < to; index++) {
        for (const receipt of this.receipts[index] ?? []) receipt.settle(outcome?.(this.updates[index]!))
      }
    }
    this.settled = to
  }
}
