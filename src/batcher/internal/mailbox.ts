/**
 * The mailbox of a batcher: a dropping `Queue` of messages whose bound counts the updates in them.
 *
 * - At most `capacity` updates are waiting, however they are spread over messages; of a message that does not fit whole
 *   the first updates are taken.
 * - Updates are read in the order of their arrival, and reading may stop anywhere.
 * - A closed mailbox takes nothing more and can still be read.
 *
 * One message for a report instead of one for each of its updates keeps the queue off the profile of the hot path.
 */
import { type Cause, Effect, Queue } from "effect"
import type { Updates } from "../Accumulator.ts"

export class Mailbox<A, U extends Updates<A, U>> {
  readonly capacity: number
  readonly #queue: Queue.Queue<U, Cause.Done>
  /** What was read and is to be read again, before the queue is. */
  #kept: Array<U> = []
  #message: U | undefined
  #position = 0
  #accepted = 0
  #read = 0

  static readonly make = <A, U extends Updates<A, U>>(capacity: number): Effect.Effect<Mailbox<A, U>> =>
    Effect.map(Queue.dropping<U, Cause.Done>(capacity), (queue) => new Mailbox(queue, capacity))

  constructor(queue: Queue.Queue<U, Cause.Done>, capacity: number) {
    this.#queue = queue
    this.capacity = capacity
  }

  /** Updates waiting to be read. */
  get size(): number {
    return this.#accepted - this.#read
  }

  /** Updates ever accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** Updates ever read. */
  get read(): number {
    return this.#read
  }

  /** Takes as many of the updates as fit, from the first on, and answers how many those are. */
  offerUnsafe(updates: U): number {
    const room = this.capacity - this.size
    const fitting = updates.length <= room ? updates : updates.slice(0, room)
    if (fitting.length === 0 || !Queue.offerUnsafe(this.#queue, fitting)) return 0
    this.#accepted += fitting.length
    return fitting.length
  }

  /** Reads the next updates that came together, up to `most` of them. Answers how many. */
  readUnsafe(most: number, each: (updates: U, from: number, to: number) => void): number {
    const message = this.#message ?? this.#nextMessage()
    if (message === undefined) return 0
    const from = this.#position
    const to = Math.min(from + most, message.length)
    this.#message = to === message.length ? undefined : message
    this.#position = to === message.length ? 0 : to
    this.#read += to - from
    each(message, from, to)
    return to - from
  }

  /** Reads every waiting update and lets those stay, in their order, that `keep` wants to. */
  siftUnsafe(keep: (update: A, index: number, all: U) => boolean): void {
    const kept: Array<U> = []
    const sift = (updates: U, from: number, to: number) => {
      const staying = updates.slice(from, to).filter(keep)
      if (staying.length > 0) kept.push(staying)
      this.#read -= staying.length
    }
    while (this.readUnsafe(this.capacity, sift) > 0);
    this.#kept = kept
  }

  /** From now on nothing is accepted. */
  closeUnsafe(): void {
    Queue.endUnsafe(this.#queue)
  }

  #nextMessage(): U | undefined {
    if (this.#kept.length > 0) return this.#kept.shift()
    const next = Queue.takeUnsafe(this.#queue)
    return next?._tag === "Success" ? next.value : undefined
  }
}
