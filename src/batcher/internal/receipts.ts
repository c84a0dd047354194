/**
 * Acknowledgements: who waits for which update, until it is written, rejected or lost.
 *
 * Where updates merge, a receipt belongs to a key and follows it from merge to merge. Where they do not, the update is in a
 * cell with its receipt while it is pending, because equal updates are different ones.
 */
import type { Accumulator, Updates } from "../Accumulator.ts"

/** The outcome of the updates of one call. */
export class Receipt<F> {
  #open = 0
  readonly #waiting: Array<Set<Receipt<F>>> = []
  readonly failures: Array<F> = []
  onDone: (() => void) | undefined

  expect(updates: number): void {
    this.#open += updates
  }

  settle(failure?: F): void {
    if (failure !== undefined) this.failures.push(failure)
    if (--this.#open === 0) this.onDone?.()
  }

  /** Joins those who wait for an update, unless nobody waits any more, or it is among them already. */
  join(waiting: Set<Receipt<F>>): void {
    if (this.onDone === undefined || waiting.has(this)) return this.settle()
    waiting.add(this)
    this.#waiting.push(waiting)
  }

  /** Waits no longer. */
  withdraw(): void {
    this.onDone = undefined
    for (const waiting of this.#waiting) waiting.delete(this)
  }
}

/** The receipts that wait for an update. */
export type Waiting<F> = Iterable<Receipt<F>> | undefined

export interface Receipts<A, F, U> {
  /** Prepares updates that are about to be added. Returns the updates to add. */
  wrap(updates: U, receipt: Receipt<F>): U
  /** Settles updates that were not accepted. */
  refuse(updates: U, receipt: Receipt<F>, failure: (update: A) => F): void
  /** Attaches a receipt to updates that have just been merged. */
  onMerged(updates: U, from: number, to: number, receipt: Receipt<F>): void
  /** The receipts that wait for the updates of a batch, place by place; nothing if there are none. */
  take(batch: ReadonlyArray<A>): ReadonlyArray<Waiting<F>> | undefined
  /** Attaches receipts again to updates that are put back. Returns the updates to put back. */
  restore(updates: ReadonlyArray<A>, waiting: ReadonlyArray<Waiting<F>>): ReadonlyArray<A>
  /** Settles whatever is still waited for, because nothing is held any more. */
  end(failure: () => F): void
}

/** Returns receipts that go with the updates of an accumulator. */
export function makeReceipts<S, A, F, U extends Updates<A, U>>(accumulator: Accumulator<S, A, U>): Receipts<A, F, U>
// an accumulator without keys takes arrays of anything: it never looks into updates, so that cells pass for them
export function makeReceipts<S, A, F, U extends Updates<A, U>>(accumulator: Accumulator<S, A, U>) {
  return accumulator.keyOf === undefined
    ? new ReceiptsInCells<A, F>()
    : new ReceiptsByKey<A, F, U>((update) => {
        try {
          return accumulator.keyOf?.(update)
        } catch {
          return undefined
        }
      })
}

class ReceiptsByKey<A, F, U extends Updates<A, U>> implements Receipts<A, F, U> {
  readonly #keyOf: (update: A) => unknown
  readonly #waiting = new Map<unknown, Set<Receipt<F>>>()

  constructor(keyOf: (update: A) => unknown) {
    this.#keyOf = keyOf
  }

  wrap(updates: U, receipt: Receipt<F>): U {
    receipt.expect(updates.length)
    return updates
  }

  refuse(updates: U, receipt: Receipt<F>, failure: (update: A) => F): void {
    updates.forEach((update) => receipt.settle(failure(update)))
  }

  onMerged(updates: U, from: number, to: number, receipt: Receipt<F>): void {
    updates.slice(from, to).forEach((update) => {
      const key = this.#keyOf(update)
      const held = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, held)
      receipt.join(held)
    })
  }

  take(batch: ReadonlyArray<A>): ReadonlyArray<Set<Receipt<F>> | undefined> | undefined {
    if (this.#waiting.size === 0) return undefined
    return batch.map((update) => {
      const key = this.#keyOf(update)
      const held = this.#waiting.get(key)
      this.#waiting.delete(key)
      return held
    })
  }

  restore(updates: ReadonlyArray<A>, waiting: ReadonlyArray<Waiting<F>>): ReadonlyArray<A> {
    updates.forEach((update, index) => {
      const receipts = waiting[index]
      if (receipts === undefined) return
      const key = this.#keyOf(update)
      const newer = this.#waiting.get(key) ?? []
      // the same set, however often the write fails: receipts remember each one that they have joined
      const held = receipts instanceof Set ? receipts : new Set(receipts)
      for (const receipt of newer) receipt.join(held)
      this.#waiting.set(key, held)
    })
    return updates
  }

  end(failure: () => F): void {
    const left = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const receipts of left) for (const receipt of receipts) receipt.settle(failure())
  }
}

/** An update with the receipt of its caller. */
class Cell<A, F> {
  readonly update: A
  readonly receipt: Receipt<F>

  constructor(update: A, receipt: Receipt<F>) {
    this.update = update
    this.receipt = receipt
  }
}

class ReceiptsInCells<A, F> implements Receipts<A | Cell<A, F>, F, ReadonlyArray<A | Cell<A, F>>> {
  wrap(updates: ReadonlyArray<A | Cell<A, F>>, receipt: Receipt<F>): ReadonlyArray<Cell<A, F>> {
    receipt.expect(updates.length)
    return updates.map((update) => new Cell<A, F>(unwrap(update), receipt))
  }

  refuse(updates: ReadonlyArray<A | Cell<A, F>>, receipt: Receipt<F>, failure: (update: A) => F): void {
    for (const update of updates) receipt.settle(failure(unwrap(update)))
  }

  onMerged(): void {}

  take(batch: ReadonlyArray<A | Cell<A, F>>): ReadonlyArray<Waiting<F>> | undefined {
    if (!batch.some((update) => update instanceof Cell)) return undefined
    return batch.map((update) => (update instanceof Cell ? [update.receipt] : undefined))
  }

  restore(updates: ReadonlyArray<A | Cell<A, F>>, waiting: ReadonlyArray<Waiting<F>>): ReadonlyArray<A | Cell<A, F>> {
    return updates.map((update, index) => {
      const [receipt] = waiting[index] ?? []
      return receipt === undefined ? update : new Cell<A, F>(unwrap(update), receipt)
    })
  }

  end(): void {}
}

/** Settles updates that leave without a batch. Returns them without their cells. */
export const settleAll = <A, F, U>(
  receipts: Receipts<A, F, U>,
  updates: ReadonlyArray<A>,
  failure: (update: A) => F
): ReadonlyArray<A> => {
  const waiting = receipts.take(updates)
  const bare = updates.map(unwrap)
  for (const [index, update] of bare.entries()) {
    for (const receipt of waiting?.[index] ?? []) receipt.settle(failure(update))
  }
  return bare
}

/** An update without its cell. */
export const unwrap = <A>(update: A | Cell<A, unknown>): A => (update instanceof Cell ? update.update : update)
