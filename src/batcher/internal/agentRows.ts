/**
 * The newest rows of one agent, one for each key.
 *
 * An agent reports much the same keys in much the same order each time, and most often once between two batches. So its
 * first report is held as it came, and a further one finds most keys in the place where they were; only an agent with many
 * keys has an index of them. That costs a fifth of a map of keys for each agent.
 */
import type { MetadataRow } from "../../domain/Metadata.ts"

/** Up to so many keys are compared one by one. */
const few = 16

export class AgentRows {
  #rows: ReadonlyArray<MetadataRow>
  /** The same rows where they may be changed: those that came with a report are not to be. */
  #own: Array<MetadataRow> | undefined
  #places: Map<string, number> | undefined

  /** Takes the rows as they are; no two may have the same key. */
  constructor(rows: ReadonlyArray<MetadataRow>) {
    this.#rows = rows
  }

  get rows(): ReadonlyArray<MetadataRow> {
    return this.#rows
  }

  /** Where the row of a key is, or -1. `guess` is looked at first. */
  placeOf(key: string, guess = 0): number {
    const rows = this.#rows
    if (rows[guess]?.key === key) return guess
    if (rows.length > few) return (this.#places ??= new Map(rows.map(({ key }, place) => [key, place]))).get(key) ?? -1
    for (let place = 0; place < rows.length; place++) if (rows[place]!.key === key) return place
    return -1
  }

  /** Puts a row where `placeOf` has found that of its key, or behind all others. */
  put(row: MetadataRow, place: number): void {
    const own = (this.#own ??= [...this.#rows])
    this.#rows = own
    if (place !== -1) {
      own[place] = row
    } else {
      this.#places?.set(row.key, own.length)
      own.push(row)
    }
  }
}

/** How many lists of keys are remembered. */
const layouts = 8

/**
 * Knows whether no two rows of a report have the same key. Agents of one template report the same keys in the same order:
 * the last few such lists are remembered, so that most reports need one comparison for each key and not one for each pair.
 */
export class DistinctKeys {
  readonly #known: Array<ReadonlyArray<string>> = []

  /** Many rows are not looked at: false. */
  has(rows: ReadonlyArray<MetadataRow>, from: number, to: number): boolean {
    const count = to - from
    if (count > few) return false
    for (const keys of this.#known) {
      let same = 0
      if (keys.length === count) while (same < count && rows[from + same]!.key === keys[same]) same++
      if (same === count) return true
    }
    const keys = rows.slice(from, to).map(({ key }) => key)
    if (new Set(keys).size < count) return false
    this.#known.unshift(keys)
    if (this.#known.length > layouts) this.#known.pop()
    return true
  }
}
