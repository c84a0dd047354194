/**
 * The updates of a batcher that are merged and wait for their batch.
 *
 * A flush freezes what is pending: updates that arrive later merge into the frozen updates if they can, and otherwise wait
 * behind them. So a flush has written everything accepted before it as soon as nothing frozen is left, whatever arrives
 * meanwhile and in whatever order the accumulator returns updates.
 *
 * A rule that throws for an update loses that update. The accounts add up, whatever an accumulator does.
 */
import type { Accumulator, Selection, Updates } from "../Accumulator.ts"
import type { Ledger } from "./ledger.ts"
import { UpdateDefect } from "./updateDefect.ts"

/** The defect of a rule, and the places of the updates that are lost to it, in their order. */
export interface Thrown {
  readonly defect: unknown
  readonly places: Array<number>
}

export class Pending<S, A, U extends Updates<A, U>> {
  readonly #accumulator: Accumulator<S, A, U>
  readonly #ledger: Ledger
  #current: S
  #frozen: S | undefined
  /** The size of which the ledger knows. */
  #accounted = 0
  #thrown: Thrown | undefined

  constructor(accumulator: Accumulator<S, A, U>, ledger: Ledger) {
    this.#accumulator = accumulator
    this.#ledger = ledger
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
    return (this.#frozen !== undefined && this.#isIn(this.#frozen, update)) || this.#isIn(this.#current, update)
  }

  /** Adds updates; those of before the flush join the frozen ones. Returns the defect of a rule, if one threw. */
  add(updates: U, from: number, to: number, isFrozen: boolean): Thrown | undefined {
    if (this.#frozen === undefined) this.#current = this.#addTo(this.#current, updates, from, to)
    else if (isFrozen) this.#frozen = this.#addTo(this.#frozen, updates, from, to)
    else this.#addBeside(updates, from, to)
    const thrown = this.#thrown
    this.#thrown = undefined
    this.#account(to - from, thrown?.places.length)
    return thrown
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
    this.#frozen = undefined
    let lost = Number.POSITIVE_INFINITY
    try {
      if (this.#accumulator.size(this.#current) === 0) this.#current = frozen
      else if (this.#accumulator.size(frozen) > 0) {
        const [updates] = this.#accumulator.take(frozen, Number.POSITIVE_INFINITY)
        this.#current = this.#accumulator.restore(this.#current, updates)
      }
      lost = 0
    } finally {
      this.#account(0, lost)
    }
  }

  /** Puts updates of a batch back in front of all that is pending. */
  restore(updates: ReadonlyArray<A>): void {
    if (this.#frozen === undefined) this.#current = this.#accumulator.restore(this.#current, updates)
    else this.#frozen = this.#accumulator.restore(this.#frozen, updates)
    this.#account(updates.length)
  }

  take(max: number, select?: (update: A) => Selection): ReadonlyArray<A> {
    return this.#remove(this.frozenSize > 0, (state) => this.#accumulator.take(state, max, select))
  }

  /** Takes updates of so many bytes from the larger part, or all of that. */
  evict(bytes: number): ReadonlyArray<A> {
    // only asked of an accumulator that knows the bytes
    const sized = this.#accumulator.sized!
    const isFrozenLarger = this.#frozen !== undefined && sized.bytes(this.#frozen) > sized.bytes(this.#current)
    return this.#remove(isFrozenLarger, (state) => sized.evict(state, bytes))
  }

  /** Takes everything. The accumulator loses the updates that it does not give back. */
  clear(): ReadonlyArray<A> {
    let all: ReadonlyArray<A> = []
    try {
      this.thaw()
      ;[all] = this.#accumulator.take(this.#current, Number.POSITIVE_INFINITY)
    } finally {
      this.#current = this.#accumulator.empty()
      this.#account(-all.length, Number.POSITIVE_INFINITY)
    }
    return all
  }

  /** Takes updates from what is frozen or from the rest. */
  #remove(isFrozen: boolean, from: (state: S) => readonly [removed: ReadonlyArray<A>, rest: S]): ReadonlyArray<A> {
    const [removed, rest] = from(isFrozen ? this.#frozen! : this.#current)
    if (isFrozen) this.#frozen = rest
    else this.#current = rest
    this.#account(-removed.length, Number.POSITIVE_INFINITY)
    return removed
  }

  /** Adds updates to a state, without those for which a rule throws. */
  #addTo(state: S, updates: U, from: number, to: number): S {
    let next = from
    while (next < to) {
      try {
        return this.#accumulator.add(state, updates, next, to)
      } catch (defect) {
        next = this.#onThrown(defect, next, to)
      }
    }
    return state
  }

  /** Notes the updates that are lost to a defect. Returns the place after them. */
  #onThrown(defect: unknown, from: number, to: number): number {
    const one = defect instanceof UpdateDefect && defect.place >= from && defect.place < to ? defect : undefined
    const { places } = (this.#thrown ??= { defect: one?.cause ?? defect, places: [] })
    const end = one === undefined ? to : one.place + 1
    for (let place = one?.place ?? from; place < end; place++) places.push(place)
    return end
  }

  #addBeside(updates: U, from: number, to: number): void {
    let place = from
    updates.slice(from, to).forEach((update) => {
      if (this.#isIn(this.#frozen!, update)) this.#frozen = this.#addTo(this.#frozen!, updates, place, place + 1)
      else this.#current = this.#addTo(this.#current, updates, place, place + 1)
      place++
    })
  }

  /** Whether an update would merge. One that this cannot be told of needs no room: to add it throws as well. */
  #isIn(state: S, update: A): boolean {
    try {
      return this.#accumulator.has(state, update)
    } catch {
      return true
    }
  }

  /** Accounts for so many updates more. Those that are not held are merged, or up to `lost` of them are lost. */
  #account(added: number, lost = 0): void {
    const size = this.size
    const gone = this.#accounted + added - size
    const isLost = Math.max(0, Math.min(lost, gone))
    this.#ledger.lost.defect += isLost
    this.#ledger.merged += gone - isLost
    this.#accounted = size
  }
}
