/** Waits until updates are written, and says of those that are not why. */
import { Effect } from "effect"
import { Dropped, Lost, Rejected } from "../BatcherErrors.ts"
import { Receipt } from "./receipts.ts"
import type { Resume } from "./resume.ts"

/** Why updates of `addAndWait` or `offerAndWait` are not written. */
export type NotWritten<A, E> = Dropped<A> | Rejected<A, E> | Lost<A, E>

/**
 * Starts something with a receipt, and waits until the receipt is settled. `start` returns how to withdraw it. Fails if an
 * update is not written: with `Rejected` if one was rejected, else with `Lost` if one was lost, else with `Dropped`.
 */
export const acknowledge = <A, E>(
  callback: Resume,
  start: (receipt: Receipt<NotWritten<A, E>>) => (() => void) | void
): Effect.Effect<void, NotWritten<A, E>> =>
  callback((resume) => {
    const receipt = new Receipt<NotWritten<A, E>>()
    // held open until all is under way
    receipt.expect(1)
    receipt.onDone = () => {
      const failure = combine(receipt.failures)
      resume(failure === undefined ? Effect.void : Effect.fail(failure))
    }
    const withdraw = start(receipt)
    receipt.settle()
    return Effect.sync(() => {
      receipt.withdraw()
      withdraw?.()
    })
  })

const combine = <A, E>(failures: ReadonlyArray<NotWritten<A, E>>): NotWritten<A, E> | undefined => {
  for (const tag of ["Rejected", "Lost", "Dropped"] as const) {
    const first = failures.find((failure) => failure._tag === tag)
    if (first === undefined) continue
    const updates = failures.flatMap((failure) => (failure._tag === tag ? failure.updates : []))
    if (first._tag === "Rejected") return new Rejected({ updates, error: first.error })
    if (first._tag === "Lost") return new Lost({ updates, reason: first.reason, cause: first.cause })
    return new Dropped({ updates, reason: first.reason })
  }
  return undefined
}
