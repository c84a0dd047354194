/** Chooses the updates of a batch where bytes are bounded or partitions are kept apart. */
import type { Selection } from "../Accumulator.ts"
import { unwrap } from "./receipts.ts"

export interface SelectorOptions<A> {
  readonly maxBatchBytes: number
  readonly sizeOf: ((update: A) => number) | undefined
  readonly partitionBy: ((update: A) => unknown) | undefined
  readonly onDefect: (defect: unknown) => void
}

export class Selector<A> {
  readonly #options: SelectorOptions<A>
  readonly #isNeeded: boolean
  /** Partitions with a batch in flight. */
  readonly #busy = new Set<unknown>()

  constructor(options: SelectorOptions<A>) {
    this.#options = options
    this.#isNeeded = options.partitionBy !== undefined || this.#isSized
  }

  /** The rule for one batch, and the partitions that it has chosen so far. Nothing if every update may come along. */
  start():
    | { readonly select: (update: A) => Selection; readonly partitions: ReadonlySet<unknown> | undefined }
    | undefined {
    if (!this.#isNeeded) return undefined
    const { maxBatchBytes, partitionBy, sizeOf } = this.#options
    const partitions = partitionBy === undefined ? undefined : new Set<unknown>()
    let bytes = 0
    let isFirst = true
    const select = (wrapped: A): Selection => {
      const update = unwrap(wrapped)
      const partition = partitions && this.#safely(partitionBy!, update)
      if (this.#busy.has(partition)) return "skip"
      if (this.#isSized) {
        bytes += Math.max(0, this.#safely(sizeOf!, update) || 0)
        if (bytes > maxBatchBytes && !isFirst) return "stop"
      }
      isFirst = false
      partitions?.add(partition)
      return "take"
    }
    return { select, partitions }
  }

  reserve(partitions: ReadonlySet<unknown> | undefined): void {
    for (const partition of partitions ?? []) this.#busy.add(partition)
  }

  release(partitions: ReadonlySet<unknown> | undefined): void {
    for (const partition of partitions ?? []) this.#busy.delete(partition)
  }

  get #isSized(): boolean {
    return this.#options.sizeOf !== undefined && this.#options.maxBatchBytes !== Number.POSITIVE_INFINITY
  }

  #safely<B>(rule: (update: A) => B, update: A): B | undefined {
    try {
      return rule(update)
    } catch (defect) {
      this.#options.onDefect(defect)
      return undefined
    }
  }
}
