/**
 * Acknowledgements: who waits for which update, until it is written, rejected or lost.
 *
 * Where updates merge, a receipt belongs to a key and follows it from merge to merge. Where they do not, the update itself
 * is wrapped while it is pending, because equal updates are different ones.
 */
import type { Accumulator, Updates } from "../Accumulator.ts"

/** The outcome of the updates of one call. */
export class Receipt<F> {
  #open = 0
  readonly failures: Array<F> = []
  onDone: (() => void) | undefined

  get isDone(): boolean {
    return this.#open === 0
  }

  expect(): void {
    this.#open++
  }

  settle(failure?: F): void {
    if (failure !== undefined) this.failures.push(failure)
    if (--this.#open === 0) this.onDone?.()
  }
}

/** An update of an accumulator that never looks at updates, with the receipt of its caller. */
class Cell<A, F> {
  readonly update: A
  readonly receipt: Receipt<F>

  constructor(update: A, receipt: Receipt<F>) {
    this.update = update
    this.receipt = receipt
  }
}

type Waiting<F> = ReadonlyArray<Receipt<F>> | undefined

export class Receipts<S, A, F, U extends Updates<A, U>> {
  readonly #keyOf: Accumulator<S, A, U>["keyOf"]
  readonly #byKey = new Map<unknown, Array<Receipt<F>>>()
  #cells = 0

  constructor(accumulator: Accumulator<S, A, U>) {
    this.#keyOf = accumulator.keyOf
  }

  /** Whether nobody waits for an update that is pending. */
  get isEmpty(): boolean {
    return this.#byKey.size === 0 && this.#cells === 0
  }

  /** Prepares updates that are about to be added. Returns the updates to add. */
  wrap(updates: U, receipt: Receipt<F>): U {
    for (let count = updates.length; count > 0; count--) receipt.expect()
    if (this.#keyOf !== undefined) return updates
    this.#cells += updates.length
    return Array.from(updates as unknown as ReadonlyArray<A>, (update) => new Cell(update, receipt)) as unknown as U
  }

  /** Settles updates that were not accepted. */
  refuse(updates: U, receipt: Receipt<F>, failure: (update: A) => F): void {
    updates.filter((update) => {
      if (this.#keyOf === undefined) this.#cells--
      receipt.settle(failure(unwrap(update)))
      return false
    })
  }

  /** Attaches a receipt to updates that have just been merged. */
  onMerged(updates: U, from: number, to: number, receipt: Receipt<F>): void {
    const keyOf = this.#keyOf
    if (keyOf === undefined) return
    updates.slice(from, to).filter((update) => {
      const key = keyOf(update)
      const held = this.#byKey.get(key)
      if (held === undefined) this.#byKey.set(key, [receipt])
      else held.push(receipt)
      return false
    })
  }

  /** The receipts that wait for the updates of a batch, place by place; nothing if there are none. */
  take(batch: ReadonlyArray<A>): ReadonlyArray<Waiting<F>> | undefined {
    const keyOf = this.#keyOf
    if (this.isEmpty) return undefined
    if (keyOf === undefined) {
      return batch.map((update) => {
        if (!(update instanceof Cell)) return undefined
        this.#cells--
        return [update.receipt as Receipt<F>]
      })
    }
    return batch.map((update) => {
      const key = keyOf(update)
      const held = this.#byKey.get(key)
      this.#byKey.delete(key)
      return held
    })
  }

  /** Attaches receipts again to updates that are put back. Returns the updates to put back. */
  restore(updates: ReadonlyArray<A>, waiting: ReadonlyArray<Waiting<F>>): ReadonlyArray<A> {
    const keyOf = this.#keyOf
    if (keyOf === undefined) {
      return updates.map((update, index) => {
        const receipt = waiting[index]?.[0]
        if (receipt === undefined) return update
        this.#cells++
        return new Cell(update, receipt) as unknown as A
      })
    }
    updates.forEach((update, index) => {
      const receipts = waiting[index]
      if (receipts === undefined) return
      const key = keyOf(update)
      this.#byKey.set(key, [...receipts, ...(this.#byKey.get(key) ?? [])])
    })
    return updates
  }
}

/** An update without its wrapper. */
export const unwrap = <A>(update: A): A => (update instanceof Cell ? (update.update as A) : update)
