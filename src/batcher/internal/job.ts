/** The write that one trigger requests. */
import type { Cause } from "effect"
import type { FlushReason } from "../BatcherObserver.ts"
import type { Tally } from "./batch.ts"

/** The result of a flush. */
export interface FlushResult<E> {
  /**
   * `completed`: everything accepted before the flush is written, rejected or lost. `failed`: a write failed and its batch
   * was put back, or the accumulator returned nothing of what it holds. `closed`: the batcher closed before everything was written. `nested`: a write or an observer of the
   * batcher asked for the flush, which nothing can wait for; nothing was done.
   */
  readonly outcome: "completed" | "failed" | "closed" | "nested"
  /** Updates written, as they were merged. */
  readonly written: number
  /** Updates that the store rejected because of their data. */
  readonly rejected: number
  /** Updates that were lost, because their write failed. */
  readonly lost: number
  /** Updates put back for another attempt. */
  readonly retained: number
  /** Why the flush failed, or why updates were lost. */
  readonly cause: Cause.Cause<E> | undefined
}

export interface FlushRequest<E> {
  readonly resume: (result: FlushResult<E>) => void
}

export class Job<E> {
  readonly reason: FlushReason
  /** Updates still to take. */
  left: number
  /** The requests that wait for its end; only a flush and closing have some. */
  readonly requests: Array<FlushRequest<E>>
  readonly tally: Tally | undefined
  cause: Cause.Cause<E> | undefined

  constructor(reason: FlushReason, left: number, requests: Array<FlushRequest<E>> = []) {
    this.reason = reason
    this.left = left
    this.requests = requests
    const isAwaited = reason === "manual" || reason === "shutdown"
    this.tally = isAwaited ? { written: 0, rejected: 0, lost: 0, retained: 0 } : undefined
  }

  end(outcome: FlushResult<E>["outcome"]): void {
    for (const { resume } of this.requests) resume(resultOf(outcome, this.tally, this.cause))
  }
}

export const resultOf = <E>(
  outcome: FlushResult<E>["outcome"],
  tally: Tally = { written: 0, rejected: 0, lost: 0, retained: 0 },
  cause?: Cause.Cause<E>
): FlushResult<E> => ({ outcome, ...tally, cause })
