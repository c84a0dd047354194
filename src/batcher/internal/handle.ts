/** The handle of a batcher. */
import { Context, Effect, type Fiber } from "effect"
import type { Resume } from "./resume.ts"
import type { Updates } from "../Accumulator.ts"
import { Dropped, type DropReason } from "../BatcherErrors.ts"
import { acknowledge, type NotWritten } from "./acknowledge.ts"
import { type FlushRequest, type FlushResult, resultOf } from "./job.ts"
import type { Accounting, Ledger } from "./ledger.ts"
import type { Receipt, Receipts } from "./receipts.ts"
import type { Worker } from "./worker.ts"

/** How many updates are where. */
export interface Sizes {
  /** In the mailbox. */
  readonly queued: number
  /** Merged, waiting for their batch. */
  readonly pending: number
  /** Being written. */
  readonly inFlight: number
}

/** The outcome of `tryAdd`. */
export interface Added<U> {
  /** How many updates were accepted. */
  readonly accepted: number
  /** The updates that were dropped, in their order. */
  readonly dropped: U
  /** Why updates were dropped, if any were. */
  readonly reason: DropReason | undefined
}

/** Where updates go in, and what can be asked. None of it relies on the caller's array after it returned. */
export interface Batcher<A, U = ReadonlyArray<A>, E = unknown> {
  /** Updates that may wait in the mailbox. */
  readonly queueCapacity: number
  /** Accepts updates, in their order, and returns how many were dropped. The updates must not be changed afterwards. */
  readonly add: (updates: U) => Effect.Effect<number>
  /** `add` for code that is not an effect. */
  readonly addUnsafe: (updates: U) => number
  /** Accepts updates, in their order, and returns which were dropped and why. */
  readonly tryAdd: (updates: U) => Effect.Effect<Added<U>>
  /**
   * Accepts updates, in their order, as soon as there is room for them. When it is interrupted, updates that had room are
   * accepted. Fails with the rest when the batcher closes, or when a write or an observer of the same batcher waits for it.
   */
  readonly offer: (updates: U) => Effect.Effect<void, Dropped<A>>
  /**
   * Adds updates, and waits until they, or what they merged into, are written. Fails if one of them is not: with `Rejected`
   * if the store rejected one, otherwise with `Lost` if one was lost, otherwise with `Dropped`; the error has the updates
   * that it is about. An interruption ends the wait, not the write.
   */
  readonly addAndWait: (updates: U) => Effect.Effect<void, NotWritten<A, E>>
  /** `addAndWait` that waits for room, as `offer` does. */
  readonly offerAndWait: (updates: U) => Effect.Effect<void, NotWritten<A, E>>
  /**
   * Writes all that was accepted before, oldest first as the accumulator has it. Returns when that is written, rejected or
   * lost; when a write failed and put its batch back; or when the batcher has closed: the result says which. During a
   * back-off or a pause it waits for the end of that. Called from a write or an observer of the same batcher it does nothing.
   */
  readonly flush: Effect.Effect<FlushResult<E>>
  /** `flush` that ends a back-off. */
  readonly flushNow: Effect.Effect<FlushResult<E>>
  /** Updates accepted and not yet handed to `write`. */
  readonly pending: Effect.Effect<number>
  /** Starts no further write until `resume`, or until it closes. Updates are accepted as long as there is room. */
  readonly pause: Effect.Effect<void>
  /** Starts writes again after `pause`. */
  readonly resume: Effect.Effect<void>
  /**
   * Closes at once, without another write: interrupts what is being written and returns all updates that are not known to
   * be written, oldest first. Use it instead of waiting for the scope, for example before a successor starts.
   */
  readonly closeNow: Effect.Effect<ReadonlyArray<A>>
  /** The accounting of all updates so far. */
  readonly accounting: Effect.Effect<Accounting>
  /** `accounting` for code that is not an effect. */
  readonly accountingUnsafe: () => Accounting
  /** How many updates are where. */
  readonly sizesUnsafe: () => Sizes
  /**
   * The part of the room for updates that is taken, from 0 to 1: of `maxPending` or of `maxPendingBytes`, whichever is more.
   * A source of updates can slow down by it before any is dropped.
   */
  readonly saturationUnsafe: () => number
  /** Why an update that finds no room now is dropped. */
  readonly dropReasonUnsafe: () => DropReason
}

/** The batchers whose write or observer a fiber runs. A fiber that waits for one of them there would wait for itself. */
export const Nested = Context.Reference<ReadonlySet<object>>("metadata-batcher/batcher/Nested", {
  defaultValue: () => new Set()
})

export const isNested =
  (token: object) =>
  (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
    Context.get(fiber.context, Nested).has(token)

export interface Parts<S, A, E, R, U extends Updates<A, U>> {
  readonly worker: Worker<S, A, E, R, U>
  readonly receipts: Receipts<A, NotWritten<A, E>, U>
  readonly ledger: Ledger
  /** Closes at once. */
  readonly cutOff: () => ReadonlyArray<A>
  readonly callback: Resume
  readonly isNested: (fiber: Fiber.Fiber<unknown, unknown>) => boolean
}

export const makeHandle = <S, A, E, R, U extends Updates<A, U>>(parts: Parts<S, A, E, R, U>): Batcher<A, U, E> => {
  const { callback, ledger, receipts, worker } = parts
  const { intake } = worker

  const countDropped = (updates: U, reason = intake.dropReason): DropReason => {
    ledger.drop(reason, updates.length)
    return reason
  }
  const droppedError = (reason: DropReason) => (update: A) => new Dropped({ updates: [update], reason })
  const listOf = (updates: U): ReadonlyArray<A> => {
    const list: Array<A> = []
    updates.forEach((update) => list.push(update))
    return list
  }

  const addUnsafe = (updates: U): number => {
    const refused = intake.accept(updates)
    if (refused === undefined) return 0
    countDropped(refused)
    return refused.length
  }

  const tryAdd = (updates: U) => {
    const refused = intake.accept(updates)
    return {
      accepted: updates.length - (refused?.length ?? 0),
      dropped: refused ?? updates.slice(0, 0),
      reason: refused && countDropped(refused)
    }
  }

  const nestedOr = <X, F>(nested: Effect.Effect<X, F>, otherwise: Effect.Effect<X, F>): Effect.Effect<X, F> =>
    Effect.withFiber((fiber) => (parts.isNested(fiber) ? nested : otherwise))

  /** Counts updates as dropped now, and returns what fails with them. */
  const failure = (updates: U, reason?: DropReason) =>
    Effect.fail(new Dropped({ updates: listOf(updates), reason: countDropped(updates, reason) }))

  const failNested = (updates: U) => Effect.suspend(() => failure(updates, "nested"))

  const offer = (updates: U): Effect.Effect<void, Dropped<A>> =>
    callback((resume) => {
      const waiter = intake.offer(updates, (refused) => resume(refused === undefined ? Effect.void : failure(refused)))
      return waiter && Effect.sync(() => intake.withdraw(waiter))
    })

  /** Counts updates as dropped, and tells those who wait for them. */
  const refuse = (refused: U | undefined, receipt: Receipt<NotWritten<A, E>>) => {
    if (refused !== undefined) receipts.refuse(refused, receipt, droppedError(countDropped(refused)))
  }

  const addAndWait = (updates: U) =>
    acknowledge<A, E>(callback, (receipt) => refuse(intake.accept(receipts.wrap(updates, receipt), receipt), receipt))

  const offerAndWait = (updates: U) =>
    acknowledge<A, E>(callback, (receipt) => {
      const waiter = intake.offer(receipts.wrap(updates, receipt), (refused) => refuse(refused, receipt), receipt)
      return waiter && (() => intake.withdraw(waiter))
    })

  const flush = (isForced: boolean): Effect.Effect<FlushResult<E>> =>
    nestedOr(
      Effect.sync(() => resultOf<E>("nested")),
      callback((resume) => {
        if (intake.phase === "closed") return resume(Effect.succeed(resultOf<E>("closed")))
        const request: FlushRequest<E> = { resume: (result) => resume(Effect.succeed(result)) }
        const withdraw = worker.flush(request, isForced)
        return Effect.sync(withdraw)
      })
    )

  const sizesUnsafe = () => ({
    queued: intake.mailbox.size,
    pending: intake.pending.size,
    inFlight: worker.inFlight
  })
  const accountingUnsafe = () => ({
    accepted: ledger.accepted,
    merged: ledger.merged,
    written: ledger.written,
    retained: ledger.retained,
    failures: ledger.failures,
    lost: { ...ledger.lost, rejected: ledger.rejected },
    dropped: { ...ledger.dropped },
    ...sizesUnsafe()
  })

  return {
    queueCapacity: intake.mailbox.capacity,
    add: (updates) => Effect.sync(() => addUnsafe(updates)),
    addUnsafe,
    tryAdd: (updates) => Effect.sync(() => tryAdd(updates)),
    offer: (updates) => nestedOr(failNested(updates), offer(updates)),
    addAndWait: (updates) => nestedOr<void, NotWritten<A, E>>(failNested(updates), addAndWait(updates)),
    offerAndWait: (updates) => nestedOr<void, NotWritten<A, E>>(failNested(updates), offerAndWait(updates)),
    flush: flush(false),
    flushNow: flush(true),
    pending: Effect.sync(() => intake.size),
    pause: Effect.sync(() => worker.pause()),
    resume: Effect.sync(() => worker.resume()),
    closeNow: Effect.sync(() => (intake.phase === "closed" ? [] : parts.cutOff())),
    accounting: Effect.sync(accountingUnsafe),
    accountingUnsafe,
    sizesUnsafe,
    saturationUnsafe: () => intake.saturation,
    dropReasonUnsafe: () => intake.dropReason
  }
}
