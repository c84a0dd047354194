/**
 * The accounts of a batcher: what became of every update, so that at any time
 * `accepted = written + merged + lost + held`.
 */
import type { DropReason, LossReason } from "../BatcherErrors.ts"

/** The accounting of a batcher's updates: `accepted = written + merged + lost + queued + pending + inFlight`. */
export interface Accounting {
  /** Updates accepted. */
  readonly accepted: number
  /** Updates that merged into others. */
  readonly merged: number
  /** Updates written, as they were merged. */
  readonly written: number
  /** Updates that will never be written, by reason; `rejected`: the store rejected their data. */
  readonly lost: Readonly<Record<LossReason | "rejected", number>>
  /** Updates put back after a failed write, once per failure. */
  readonly retained: number
  /** Batches of which a write failed. */
  readonly failures: number
  /** Updates in the mailbox. */
  readonly queued: number
  /** Updates merged, waiting for their batch. */
  readonly pending: number
  /** Updates being written. */
  readonly inFlight: number
  /** Updates that were not accepted. */
  readonly dropped: Readonly<Record<DropReason, number>>
}

export class Ledger {
  accepted = 0
  /** Accepted updates that merged into others. */
  merged = 0
  written = 0
  /** Rejected by the store. */
  rejected = 0
  /** Updates put back after a failed write, once per failure. */
  retained = 0
  /** Batches of which a write failed. */
  failures = 0
  readonly lost: Record<LossReason, number> = { write_failed: 0, given_up: 0, shutdown: 0, evicted: 0, defect: 0 }
  readonly dropped: Record<DropReason, number> = { full: 0, quota: 0, closed: 0, nested: 0 }
  /** Called of drops after the accounts were closed. */
  onLateDrop: ((reason: DropReason, count: number) => void) | undefined

  drop(reason: DropReason, count: number): void {
    this.dropped[reason] += count
    this.onLateDrop?.(reason, count)
  }
}
