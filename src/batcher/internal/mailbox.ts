/**
 * The mailbox of a batcher: a bounded queue of messages whose bound counts the updates in them.
 *
 * - At most `capacity` updates wait, however they are spread over messages, within further limits if there are any. Of a
 *   message that does not fit whole the first updates are accepted.
 * - Updates are read in the order of their arrival, and reading may stop anywhere.
 * - It keeps copies: callers may use their arrays again.
 * - A message may have a tag, which is returned with each of its updates.
 * - `mark` divides the updates that wait now from later ones; no read returns updates of both sides.
 *
 * One message per report instead of one per update keeps the queue off the profile of the hot path.
 */
import type { Updates } from "../Accumulator.ts"

/** Bounds beside the capacity. */
export interface Limits<U> {
  /** Makes room for as many of the first updates as fit, at most `max`, and returns their number. */
  readonly reserve: (updates: U, max: number) => number
  /** The updates from index `from` to before `to` have left. */
  readonly release: (updates: U, from: number, to: number) => void
}

export class Mailbox<A, U extends Updates<A, U>, T> {
  readonly capacity: number
  readonly #limits: Limits<U> | undefined
  /** Messages that came since those that are being read. */
  #arrived: Array<U> = []
  /** Messages that are being read, the next one last. */
  #reading: Array<U> = []
  /** The tags of the messages, as long as there are any. */
  #tags: Map<U, T> | undefined
  /** The next update of the message that is read next. */
  #position = 0
  #size = 0
  #marked = 0
  #changes = 0

  constructor(capacity: number, limits?: Limits<U>) {
    this.capacity = capacity
    this.#limits = limits
  }

  /** Updates that wait. */
  get size(): number {
    return this.#size
  }

  /** Updates that wait and were there when `mark` was called. */
  get marked(): number {
    return this.#marked
  }

  /** Grows whenever updates come or go. */
  get changes(): number {
    return this.#changes
  }

  mark(): void {
    this.#marked = this.#size
  }

  unmark(): void {
    this.#marked = 0
  }

  /** Accepts as many of the first updates as fit, at most `most`, and returns their number. */
  offer(updates: U, tag?: T, most = Number.POSITIVE_INFINITY): number {
    const room = Math.min(updates.length, this.capacity - this.#size, most)
    if (room <= 0) return 0
    const accepted = this.#limits === undefined ? room : this.#limits.reserve(updates, room)
    if (accepted === 0) return 0
    const message = updates.slice(0, accepted)
    this.#arrived.push(message)
    if (tag !== undefined) (this.#tags ??= new Map()).set(message, tag)
    this.#size += accepted
    this.#changes++
    return accepted
  }

  /** Reads the next updates that came together, at most `most`. Returns their number. */
  read(
    most: number,
    each: (updates: U, from: number, to: number, isMarked: boolean, tag: T | undefined) => void
  ): number {
    if (this.#size === 0) return 0
    if (this.#reading.length === 0) {
      this.#reading = this.#arrived.reverse()
      this.#arrived = []
    }
    const message = this.#reading.at(-1)!
    const isMarked = this.#marked > 0
    const from = this.#position
    const to = Math.min(from + Math.min(most, isMarked ? this.#marked : most), message.length)
    const count = to - from
    const tag = this.#tags?.get(message)
    if (to === message.length) this.#advance(message)
    else this.#position = to
    this.#size -= count
    this.#changes++
    if (isMarked) this.#marked -= count
    this.#limits?.release(message, from, to)
    each(message, from, to, isMarked, tag)
    return count
  }

  /** Passes every update to `keep` and keeps, in their order, those for which it returns true. */
  compact(keep: (update: A, index: number, all: U, isMarked: boolean, tag: T | undefined) => boolean): void {
    const kept: Array<U> = []
    const tags = new Map<U, T>()
    let marked = 0
    const readAll = (updates: U, from: number, to: number, isMarked: boolean, tag: T | undefined) => {
      const left = updates.slice(from, to).filter((update, index, all) => keep(update, index, all, isMarked, tag))
      if (left.length === 0) return
      kept.push(left)
      this.#limits?.reserve(left, left.length)
      if (tag !== undefined) tags.set(left, tag)
      if (isMarked) marked += left.length
    }
    while (this.read(Number.MAX_SAFE_INTEGER, readAll) > 0);
    this.#arrived = kept
    this.#tags = tags.size === 0 ? undefined : tags
    this.#size = kept.reduce((sum, updates) => sum + updates.length, 0)
    this.#marked = marked
  }

  #advance(message: U): void {
    this.#position = 0
    if (this.#tags?.delete(message) === true && this.#tags.size === 0) this.#tags = undefined
    this.#reading.pop()
  }
}
