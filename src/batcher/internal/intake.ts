/**
 * The way of an update into a batcher: straight into what is pending while nothing is being written, into the mailbox
 * otherwise, and from there into what is pending.
 *
 * - Room is bounded: `queueCapacity` updates in the mailbox, `maxPending` pending or being written. An update that merges
 *   into a pending one always finds room.
 * - Bytes are bounded: where those that are pending or being written exceed their part of `maxPendingBytes`, pending updates
 *   are lost. The mailbox has the other part; what does not fit into it goes on into what is pending.
 * - Of one source at most `maxPendingPerSource` updates are in the mailbox and pending.
 * - Callers that wait for room get it in their order, before anything that is added later.
 */
import type { Accumulator, Sources, Updates } from "../Accumulator.ts"
import type { DropReason } from "../BatcherErrors.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"
import type { Ledger } from "./ledger.ts"
import { Mailbox } from "./mailbox.ts"
import { bytesShare, MailboxLimits } from "./mailboxLimits.ts"
import { Pending, type Thrown } from "./pending.ts"
import { type Receipt, type Receipts, unwrap } from "./receipts.ts"

/** `open`: updates are accepted; `draining`: the rest is being written; `closed`: nothing more happens. */
export type Phase = "open" | "draining" | "closed"

/** Signals of the intake to the worker that writes. */
export interface Signals {
  /** Whether a batch could be written at once: none is, nor about to be, or there may be more than one at a time. */
  readonly isAvailable: boolean
  /** The share of `maxPending` that batches in flight take. */
  readonly reserved: number
  /** The share of `maxPendingBytes` that batches in flight take. */
  readonly reservedBytes: number
  /** Something is held now. */
  readonly onHeld: () => void
  /** There is a full batch. */
  readonly onFull: () => void
  /** There is no room: what is about to start must start now. */
  readonly runNow: () => void
}

/** The part of `maxPendingBytes` that is made free beyond what is needed. */
const evictedShare = 1 / 16

/** A caller that waits for room. */
export interface Waiter<F, U> {
  updates: U
  readonly receipt: Receipt<F> | undefined
  /** Called when all of the updates are accepted, or with those that never will be because the batcher has closed. */
  readonly resume: (refused: U | undefined) => void
}

export interface IntakeOptions<S, A, F, U extends Updates<A, U>> {
  readonly settings: ResolvedSettings
  readonly accumulator: Accumulator<S, A, U>
  readonly ledger: Ledger
  readonly signals: Signals
  readonly receipts: Receipts<A, F, U>
  /** A rule threw, and updates that were accepted are lost to it. */
  readonly onDefect: (defect: unknown, updates: ReadonlyArray<A>) => void
  /** Why an update is not written that is lost to a defect. */
  readonly lostToDefect: (update: A) => F
  /** Updates that were pending are lost, because there is no room for their bytes. */
  readonly onEvicted: (updates: ReadonlyArray<A>) => void
}

export class Intake<S, A, F, U extends Updates<A, U>> {
  phase: Phase = "open"
  readonly mailbox: Mailbox<A, U, Receipt<F>>
  readonly pending: Pending<S, A, U>
  readonly ledger: Ledger
  readonly #settings: ResolvedSettings
  readonly #signals: Signals
  readonly #receipts: Receipts<A, F, U>
  readonly #options: IntakeOptions<S, A, F, U>
  readonly #limits: MailboxLimits<S, A, U> | undefined
  readonly #sources: Sources<S, U> | undefined
  readonly #maxBytes: number
  readonly #waiters = new Set<Waiter<F, U>>()
  #compactedAt: number | undefined
  #isAdmitting = false

  constructor(options: IntakeOptions<S, A, F, U>) {
    const { accumulator, ledger, receipts, settings, signals } = options
    this.#options = options
    this.#settings = settings
    this.#signals = signals
    this.#receipts = receipts
    this.ledger = ledger
    this.#limits = MailboxLimits.of(settings, accumulator)
    this.#sources = settings.maxPendingPerSource === Number.POSITIVE_INFINITY ? undefined : accumulator.sources
    this.#maxBytes = settings.maxPendingBytes * (1 - bytesShare)
    this.mailbox = new Mailbox(settings.queueCapacity, this.#limits)
    this.pending = new Pending(accumulator, ledger)
  }

  /** Updates accepted and not yet taken for a write. */
  get size(): number {
    return this.mailbox.size + this.pending.size
  }

  /** Accepts updates. Returns those that find no room. The receipt is for those who wait for the others. */
  accept(updates: U, receipt?: Receipt<F>): U | undefined {
    const count = updates.length
    if (count === 0) return undefined
    if (this.phase !== "open") return updates
    const { mailbox, pending } = this
    const { maxBatchSize, maxPendingPerSource } = this.#settings
    const most = Math.min(maxBatchSize, this.#limit, maxPendingPerSource)
    const room = most - pending.size
    if (count <= room && mailbox.size === 0 && this.#signals.isAvailable) {
      this.ledger.accepted += count
      this.#addPending(updates, 0, count, false, receipt)
      this.#signals.onHeld()
      if (pending.size >= maxBatchSize) this.#signals.onFull()
      return undefined
    }
    const accepted = this.#offer(updates, receipt)
    this.ledger.accepted += accepted
    const refused = accepted < count ? this.#addWhenFull(updates.slice(accepted), receipt) : undefined
    this.#signals.onHeld()
    this.#wakeIfFull()
    return refused
  }

  /** Accepts updates as soon as there is room for them. Returns the waiter if that is not now. */
  offer(updates: U, resume: (refused: U | undefined) => void, receipt?: Receipt<F>): Waiter<F, U> | undefined {
    const refused = this.#waiters.size > 0 && this.phase === "open" ? updates.slice(0) : this.accept(updates, receipt)
    if (refused === undefined || this.phase !== "open") {
      resume(refused)
      return undefined
    }
    const waiter = { updates: refused, receipt, resume }
    this.#waiters.add(waiter)
    return waiter
  }

  /** Ends the wait of a caller. */
  withdraw(waiter: Waiter<F, U>): void {
    this.#waiters.delete(waiter)
  }

  /** Gives room to those who wait for it. */
  admitWaiters(): void {
    // to accept updates may start a write, which makes room for those who wait
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    for (const waiter of this.#waiters) {
      if (this.phase !== "open") break
      const refused = this.accept(waiter.updates, waiter.receipt)
      if (refused === undefined) {
        this.#waiters.delete(waiter)
        waiter.resume(undefined)
        continue
      }
      waiter.updates = refused
      if (this.isFull) break
      // else its source has as many as it may have, which holds up nobody else
    }
    this.#isAdmitting = false
  }

  /** From now on nothing is accepted. */
  close(): void {
    this.phase = "draining"
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter)
      waiter.resume(waiter.updates)
    }
  }

  /** How many updates the next batch may have: more when more than a batch is waiting. */
  get batchSize(): number {
    const { maxBacklogBatchSize, maxBatchSize } = this.#settings
    return this.size > maxBatchSize ? maxBacklogBatchSize : maxBatchSize
  }

  /** Moves updates from the mailbox until a batch is full. Returns whether one is. */
  fold(): boolean {
    const { mailbox, pending } = this
    const target = this.batchSize
    for (;;) {
      const isFlushing = pending.isFrozen
      if (isFlushing && mailbox.marked === 0) break
      const size = pending.size
      const room = Math.min(target - (isFlushing ? pending.frozenSize : size), this.#limit - size)
      if (room <= 0 || mailbox.read(room, this.#addPending) === 0) break
    }
    return pending.size >= this.#settings.maxBatchSize
  }

  /** Puts updates back that were taken for a write. */
  restore(updates: ReadonlyArray<A>): void {
    this.pending.restore(updates)
    this.#makeRoom()
    // something in the mailbox may merge into what is back
    this.#compactedAt = undefined
  }

  /** Takes everything, the mailbox included. */
  clear(): ReadonlyArray<A> {
    this.pending.thaw()
    while (this.mailbox.read(Number.MAX_SAFE_INTEGER, this.#addPending) > 0);
    return this.pending.clear()
  }

  readonly #addPending = (
    updates: U,
    from: number,
    to: number,
    isMarked: boolean,
    receipt: Receipt<F> | undefined
  ): void => {
    const thrown = this.pending.add(updates, from, to, isMarked)
    if (thrown !== undefined) this.#onThrown(thrown, updates, from, to, receipt)
    else if (receipt !== undefined) this.#receipts.onMerged(updates, from, to, receipt)
    this.#makeRoom()
  }

  /** Hands over updates that are lost to a rule that threw, and attaches the receipt to the others. */
  #onThrown({ defect, places }: Thrown, updates: U, from: number, to: number, receipt: Receipt<F> | undefined): void {
    const { lostToDefect, onDefect } = this.#options
    const lost: Array<A> = []
    let next = from
    for (const place of places) {
      if (receipt !== undefined) this.#receipts.onMerged(updates, next, place, receipt)
      next = place + 1
      const one = updates.slice(place, next)
      one.forEach((update) => lost.push(unwrap(update)))
      if (receipt !== undefined) this.#receipts.refuse(one, receipt, lostToDefect)
    }
    if (receipt !== undefined) this.#receipts.onMerged(updates, next, to, receipt)
    onDefect(defect, lost)
  }

  /** Loses updates until the bytes that are held are within their bound. */
  #makeRoom(): void {
    if (this.#maxBytes === Number.POSITIVE_INFINITY || this.phase === "closed") return
    for (;;) {
      const excess = this.pending.bytes + this.#signals.reservedBytes - this.#maxBytes
      if (excess <= 0) return
      // some more at once, because to choose them takes a look at everything
      const evicted = this.pending.evict(excess + this.#maxBytes * evictedShare)
      if (evicted.length === 0) return
      this.#options.onEvicted(evicted)
    }
  }

  #wakeIfFull(): void {
    if (this.#signals.isAvailable && this.size >= this.#settings.maxBatchSize && this.fold()) this.#signals.onFull()
  }

  #addWhenFull(updates: U, receipt: Receipt<F> | undefined): U | undefined {
    let next = 0
    for (let accepted = -1; next < updates.length && accepted !== 0; next += accepted) {
      this.#wakeIfFull()
      // the last resort before updates are dropped: a write that was about to start does so now
      this.#signals.runNow()
      // no copy of all that is left for each part of many
      const part = updates.slice(next, next + this.mailbox.capacity)
      accepted = this.#offer(part, receipt)
      if (accepted === 0) {
        this.#compact()
        accepted = this.#offer(part, receipt)
      }
      this.ledger.accepted += accepted
    }
    const rest = updates.slice(next)
    const refused = rest.filter(
      (update, index, all) =>
        (this.#roomOfSource(all) <= 0 && !this.pending.has(update)) ||
        this.#rejectIfFull(update, index, all, false, receipt)
    )
    this.ledger.accepted += rest.length - refused.length
    return refused.length === 0 ? undefined : refused
  }

  /** Puts as many of the first updates into the mailbox as fit, and returns their number. */
  #offer(updates: U, receipt: Receipt<F> | undefined): number {
    // each update in the mailbox has its place among those pending, of which a source may have only so many
    return this.mailbox.offer(updates, receipt, this.#roomOfSource(updates))
  }

  /** How many more updates the source of some may have. */
  #roomOfSource(updates: U): number {
    if (this.#sources === undefined) return Number.POSITIVE_INFINITY
    const source = this.#sources.of(updates)
    return this.#settings.maxPendingPerSource - this.pending.countOf(source) - (this.#limits?.countOf(source) ?? 0)
  }

  // a mailbox that was compacted while there was no room is not worth another look before something has changed
  #compact(): void {
    const { mailbox } = this
    if (this.isFull && mailbox.changes === this.#compactedAt) return
    mailbox.compact(this.#rejectIfFull)
    this.#compactedAt = mailbox.changes
  }

  /** Why an update that finds no room now is dropped. */
  get dropReason(): DropReason {
    if (this.phase !== "open") return "closed"
    return this.isFull ? "full" : "quota"
  }

  /** The part of the room that is taken, from 0 to 1: of `maxPending` or of `maxPendingBytes`, whichever is more. */
  get saturation(): number {
    const { pending } = this
    const { reserved, reservedBytes } = this.#signals
    const ofRoom = (pending.size + reserved) / this.#settings.maxPending
    return Math.min(1, Math.max(ofRoom, (pending.bytes + reservedBytes) / this.#maxBytes))
  }

  /** Whether nothing finds room that does not merge. */
  get isFull(): boolean {
    return this.pending.size >= this.#limit
  }

  /** How many updates may be pending now. */
  get #limit(): number {
    return this.#settings.maxPending - this.#signals.reserved
  }

  /** Adds an update to what is pending if it merges or finds room. Returns whether it does not. */
  readonly #rejectIfFull = (
    update: A,
    index: number,
    all: U,
    isMarked: boolean,
    receipt: Receipt<F> | undefined
  ): boolean => {
    if (this.isFull && !this.pending.has(update)) return true
    this.#addPending(all, index, index + 1, isMarked, receipt)
    return false
  }
}
