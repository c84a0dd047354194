/** Bounds of a mailbox beside its capacity: the bytes of all updates, and the updates of each source. */
import type { Accumulator, Sized, Updates } from "../Accumulator.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"

/** The part of `maxPendingBytes` that the mailbox may take. */
export const bytesShare = 1 / 16

/** The part of the capacity that one source may take. */
const sourceShare = 1 / 5

export class MailboxLimits<S, A, U extends Updates<A, U>> {
  readonly #sized: Sized<S, A, U> | undefined
  readonly #maxBytes: number
  readonly #sourceOf: (updates: U) => unknown
  readonly #maxPerSource: number
  #bytes = 0
  readonly #counts = new Map<unknown, number>()

  constructor(
    { maxPendingBytes, maxPendingPerSource, queueCapacity }: ResolvedSettings,
    { sized, sources }: Accumulator<S, A, U>
  ) {
    this.#sized = maxPendingBytes === Number.POSITIVE_INFINITY ? undefined : sized
    this.#maxBytes = maxPendingBytes * bytesShare
    const isPerSource = sources !== undefined && maxPendingPerSource !== Number.POSITIVE_INFINITY
    this.#sourceOf = isPerSource ? (updates) => sources.of(updates) : () => undefined
    this.#maxPerSource = isPerSource ? Math.ceil(queueCapacity * sourceShare) : Number.POSITIVE_INFINITY
  }

  /** The limits of a batcher, if it has any. */
  static of<S, A, U extends Updates<A, U>>(
    settings: ResolvedSettings,
    accumulator: Accumulator<S, A, U>
  ): MailboxLimits<S, A, U> | undefined {
    const { maxPendingBytes, maxPendingPerSource } = settings
    return maxPendingBytes === Number.POSITIVE_INFINITY && maxPendingPerSource === Number.POSITIVE_INFINITY
      ? undefined
      : new MailboxLimits(settings, accumulator)
  }

  /** The number of updates of a source that are in the mailbox. */
  countOf(source: unknown): number {
    return this.#counts.get(source) ?? 0
  }

  /** Makes room for as many of the first updates as fit, at most `max`, and returns their number. */
  reserve(updates: U, max: number): number {
    const source = this.#sourceOf(updates)
    const ofSource = this.countOf(source)
    let count = Math.min(max, this.#maxPerSource - ofSource)
    if (count <= 0) return 0
    if (this.#sized !== undefined) {
      let bytes = this.#sized.bytesOf(updates, 0, count)
      while (this.#bytes + bytes > this.#maxBytes && count > 0) {
        bytes -= this.#sized.bytesOf(updates, --count, count + 1)
      }
      this.#bytes += bytes
    }
    this.#setCount(source, ofSource + count)
    return count
  }

  /** The updates from index `from` to before `to` have left. */
  release(updates: U, from: number, to: number): void {
    this.#bytes -= this.#sized?.bytesOf(updates, from, to) ?? 0
    const source = this.#sourceOf(updates)
    this.#setCount(source, this.countOf(source) - (to - from))
  }

  #setCount(source: unknown, count: number): void {
    if (this.#maxPerSource === Number.POSITIVE_INFINITY) return
    if (count === 0) this.#counts.delete(source)
    else this.#counts.set(source, count)
  }
}
