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

export class Mailbox<A> {
  readonly capacity: number
  readonly #queue: Queue.Queue<ReadonlyArray<A>, Cause.Done>
  #message: ReadonlyArray<A> = []
  #position = 0
  #accepted = 0
  #read = 0

  static readonly make = <A>(capacity: number): Effect.Effect<Mailbox<A>> =>
    Effect.map(Queue.dropping<ReadonlyArray<A>, Cause.Done>(capacity), (queue) => new Mailbox(queue, capacity))

  constructor(queue: Queue.Queue<ReadonlyArray<A>, Cause.Done>, capacity: number) {
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
  offerUnsafe(updates: ReadonlyArray<A>): number {
    const room = this.capacity - this.size
    const fitting = updates.length <= room ? updates : updates.slice(0, room)
    if (fitting.length === 0 || !Queue.offerUnsafe(this.#queue, fitting)) return 0
    this.#accepted += fitting.length
    return fitting.length
  }

  /** Reads the next updates that came together, up to `most` of them, as a part of an array. Answers how many. */
  readUnsafe(most: number, each: (updates: ReadonlyArray<A>, from: number, to: number) => void): number {
    if (this.#position === this.#message.length && !this.#nextMessage()) return 0
    const from = this.#position
    const to = Math.min(from + most, this.#message.length)
    this.#position = to
    this.#read += to - from
    each(this.#message, from, to)
    return to - from
  }

  /** Reads every waiting update and lets those stay, in their order, that `keep` wants to. */
  siftUnsafe(keep: (update: A) => boolean): void {
    const kept: Array<A> = []
    const sift = (updates: ReadonlyArray<A>, from: number, to: number) => {
      for (let next = from; next < to; next++) if (keep(updates[next]!)) kept.push(updates[next]!)
    }
    while (this.readUnsafe(this.capacity, sift) > 0);
    this.#message = kept
    this.#position = 0
    this.#read -= kept.length
  }

  /** From now on nothing is accepted. */
  closeUnsafe(): void {
    Queue.endUnsafe(this.#queue)
  }

  #nextMessage(): boolean {
    const next = Queue.takeUnsafe(this.#queue)
    this.#position = 0
    this.#message = next?._tag === "Success" ? next.value : []
    return this.#message.length > 0
  }
}
