/**
 * The mailbox of a batcher: a bounded queue of messages whose bound counts the updates in them.
 *
 * - At most `capacity` updates wait, however they are spread over messages; of a message that does not fit whole the first
 *   updates are accepted.
 * - Updates are read in the order of their arrival, and reading may stop anywhere.
 * - It keeps copies: callers may use their arrays again.
 * - `mark` divides the updates that wait now from later ones; no read returns updates of both sides.
 *
 * One message per report instead of one per update keeps the queue off the profile of the hot path.
 */
import type { Updates } from "../Accumulator.ts"

export class Mailbox<A, U extends Updates<A, U>> {
  readonly capacity: number
  #messages: Array<U> = []
  #first = 0
  /** The next update of the first message. */
  #position = 0
  #size = 0
  #marked = 0
  #changes = 0

  constructor(capacity: number) {
    this.capacity = capacity
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

  /** Accepts as many of the first updates as fit, and returns their number. */
  offer(updates: U): number {
    const accepted = Math.min(updates.length, this.capacity - this.#size)
    if (accepted <= 0) return 0
    this.#messages.push(updates.slice(0, accepted))
    this.#size += accepted
    this.#changes++
    return accepted
  }

  /** Reads the next updates that came together, at most `most`. Returns their number. */
  read(most: number, each: (updates: U, from: number, to: number, isMarked: boolean) => void): number {
    if (this.#size === 0) return 0
    const message = this.#messages[this.#first]!
    const isMarked = this.#marked > 0
    const from = this.#position
    const to = Math.min(from + Math.min(most, isMarked ? this.#marked : most), message.length)
    const count = to - from
    if (to === message.length) this.#advance()
    else this.#position = to
    this.#size -= count
    this.#changes++
    if (isMarked) this.#marked -= count
    each(message, from, to, isMarked)
    return count
  }

  /** Passes every update to `keep` and keeps, in their order, those for which it returns true. */
  compact(keep: (update: A, index: number, all: U, isMarked: boolean) => boolean): void {
    const kept: Array<U> = []
    let marked = 0
    const readAll = (updates: U, from: number, to: number, isMarked: boolean) => {
      const left = updates.slice(from, to).filter((update, index, all) => keep(update, index, all, isMarked))
      if (left.length === 0) return
      kept.push(left)
      if (isMarked) marked += left.length
    }
    while (this.read(Number.MAX_SAFE_INTEGER, readAll) > 0);
    this.#messages = kept
    this.#first = 0
    this.#position = 0
    this.#size = kept.reduce((sum, updates) => sum + updates.length, 0)
    this.#marked = marked
  }

  #advance(): void {
    this.#position = 0
    // a message that was read must not be kept alive
    this.#messages[this.#first] = undefined as never
    this.#first++
    if (this.#first === this.#messages.length) {
      this.#messages = []
      this.#first = 0
    } else if (this.#first > 64 && this.#first * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#first)
      this.#first = 0
    }
  }
}
