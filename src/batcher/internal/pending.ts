/**
 * The updates of a batcher that are merged and wait for their batch.
 *
 * A flush freezes what is pending: updates that arrive later merge into the frozen updates if they can, and otherwise wait
 * behind them. So a flush has written everything accepted before it as soon as nothing frozen is left, whatever arrives
 * meanwhile and in whatever order the accumulator returns updates.
 */
import type { Accumulator, Selection, Updates } from "../Accumulator.ts"
import type { Ledger } from "./ledger.ts"

export class Pending<S, A, U extends Updates<A, U>> {
  readonly #accumulator: Accumulator<S, A, U>
  readonly #ledger: Ledger
  readonly #onDefect: (defect: unknown) => void
  #current: S
  #frozen: S | undefined

  constructor(accumulator: Accumulator<S, A, U>, ledger: Ledger, onDefect: (defect: unknown) => void) {
    this.#accumulator = accumulator
    this.#ledger = ledger
    this.#onDefect = onDefect
    this.#current = accumulator.empty()
  }

  get size(): number {
    return this.#accumulator.size(this.#current) + this.frozenSize
  }

  /** The bytes of the updates; 0 if the accumulator does not know them. */
  get bytes(): number {
    const { sized } = this.#accumulator
    if (sized === undefined) return 0
    return sized.bytes(this.#current) + (this.#frozen === undefined ? 0 : sized.bytes(this.#frozen))
  }

  /** The number of updates of a source; 0 if the accumulator knows no sources. */
  countOf(source: unknown): number {
    const { sources } = this.#accumulator
    if (sources === undefined) return 0
    return sources.count(this.#current, source) + (this.#frozen === undefined ? 0 : sources.count(this.#frozen, source))
  }

  /** Whether a flush has set updates aside. */
  get isFrozen(): boolean {
    return this.#frozen !== undefined
  }

  get frozenSize(): number {
    return this.#frozen === undefined ? 0 : this.#accumulator.size(this.#frozen)
  }

  has(update: A): boolean {
    if (this.#frozen !== undefined && this.#accumulator.has(this.#frozen, update)) return true
    return this.#accumulator.has(this.#current, update)
  }

  /** Adds updates; those of before the flush join the frozen ones. */
  add(updates: U, from: number, to: number, isFrozen: boolean): void {
    const before = this.size
    try {
      if (this.#frozen === undefined) this.#current = this.#accumulator.add(this.#current, updates, from, to)
      else this.#addBeside(this.#frozen, updates, from, to, isFrozen)
    } catch (defect) {
      this.#ledger.lost.defect += to - from - (this.size - before)
      this.#onDefect(defect)
      return
    }
    this.#ledger.merged += to - from - (this.size - before)
  }

  /** Sets aside what is pending now. */
  freeze(): void {
    if (this.#frozen !== undefined) return
    this.#frozen = this.#current
    this.#current = this.#accumulator.empty()
  }

  /** Puts what was set aside back in front. */
  thaw(): void {
    const frozen = this.#frozen
    if (frozen === undefined) return
    const before = this.size
    this.#frozen = undefined
    if (this.#accumulator.size(this.#current) === 0) this.#current = frozen
    else if (this.#accumulator.size(frozen) > 0) {
      const [updates] = this.#accumulator.take(frozen, Number.POSITIVE_INFINITY)
      this.#current = this.#accumulator.restore(this.#current, updates)
    }
    this.#ledger.merged += before - this.size
  }

  /** Puts updates of a batch back in front of all that is pending. */
  restore(updates: ReadonlyArray<A>): void {
    const before = this.size
    if (this.#frozen === undefined) this.#current = this.#accumulator.restore(this.#current, updates)
    else this.#frozen = this.#accumulator.restore(this.#frozen, updates)
    this.#ledger.merged += updates.length - (this.size - before)
  }

  take(max: number, select?: (update: A) => Selection): ReadonlyArray<A> {
    if (this.frozenSize > 0) {
      const [batch, rest] = this.#accumulator.take(this.#frozen!, max, select)
      this.#frozen = rest
      return batch
    }
    const [batch, rest] = this.#accumulator.take(this.#current, max, select)
    this.#current = rest
    return batch
  }

  /** Takes updates of so many bytes from the larger part, or all of that. */
  evict(bytes: number): ReadonlyArray<A> {
    const { sized } = this.#accumulator
    if (sized === undefined) return []
    if (this.#frozen !== undefined && sized.bytes(this.#frozen) > sized.bytes(this.#current)) {
      const [evicted, rest] = sized.evict(this.#frozen, bytes)
      this.#frozen = rest
      return evicted
    }
    const [evicted, rest] = sized.evict(this.#current, bytes)
    this.#current = rest
    return evicted
  }

  /** Takes everything. */
  clear(): ReadonlyArray<A> {
    this.thaw()
    const [all] = this.#accumulator.take(this.#current, Number.POSITIVE_INFINITY)
    this.#current = this.#accumulator.empty()
    return all
  }

  #addBeside(frozen: S, updates: U, from: number, to: number, isFrozen: boolean): void {
    const { add, has } = this.#accumulator
    const each = updates.slice(from, to)
    const old = isFrozen ? each : each.filter((update) => has(frozen, update))
    const recent = isFrozen ? undefined : each.filter((update) => !has(frozen, update))
    this.#frozen = add(frozen, old, 0, old.length)
    if (recent !== undefined && recent.length > 0) {
      this.#current = add(this.#current, recent, 0, recent.length)
    }
  }
}
