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
    this.#sourceOf = isPerSource ? sources.of : () => undefined
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

  /** How many of the first updates fit, at most `max`. */
  fitting(updates: U, max: number): number {
    const most = Math.min(max, this.#maxPerSource - this.countOf(this.#sourceOf(updates)))
    if (this.#sized === undefined || most <= 0) return most
    const room = this.#maxBytes - this.#bytes
    if (this.#sized.bytesOf(updates, 0, most) <= room) return most
    let count = 0
    for (let bytes = 0; count < most; count++) {
      bytes += this.#sized.bytesOf(updates, count, count + 1)
      if (bytes > room) break
    }
    return count
  }

  onOffered(updates: U, from: number, to: number): void {
    this.#bytes += this.#sized?.bytesOf(updates, from, to) ?? 0
    if (this.#maxPerSource === Number.POSITIVE_INFINITY) return
    const source = this.#sourceOf(updates)
    this.#counts.set(source, this.countOf(source) + to - from)
  }

  onRead(updates: U, from: number, to: number): void {
    this.#bytes -= this.#sized?.bytesOf(updates, from, to) ?? 0
    if (this.#maxPerSource === Number.POSITIVE_INFINITY) return
    const source = this.#sourceOf(updates)
    const left = this.countOf(source) - (to - from)
    if (left === 0) this.#counts.delete(source)
    else this.#counts.set(source, left)
  }
}
