/**
 * The newest rows of one agent, one per key.
 *
 * An agent reports much the same keys in much the same order each time, and usually once between two batches. So its rows
 * are a part of an array that it shares with the agents before it: they can be replaced in place, and as long as they are
 * the last ones more can be appended. A further report finds most keys at the place where they were; only an agent with
 * many keys has an index. This costs a fifth of a map of keys per agent.
 */
import type { MetadataRow } from "../../domain/Metadata.ts"

/** Up to this many keys are compared one by one. */
const linearScanLimit = 16

export class AgentRows {
  #array: Array<MetadataRow>
  #from: number
  #to: number
  #index: Map<string, number> | undefined

  /** The rows of the array from index `from` to before `to`, no two of which may have the same key. */
  constructor(array: Array<MetadataRow>, from = 0, to = array.length) {
    this.#array = array
    this.#from = from
    this.#to = to
  }

  get size(): number {
    return this.#to - this.#from
  }

  at(place: number): MetadataRow {
    return this.#array[this.#from + place]!
  }

  /** Returns the place of the row of a key, or -1. `hint` is looked at first. */
  placeOf(key: string, hint = 0): number {
    if (hint < this.size && this.at(hint).key === key) return hint
    if (this.size > linearScanLimit) return (this.#index ??= this.#makeIndex()).get(key) ?? -1
    for (let place = 0; place < this.size; place++) if (this.at(place).key === key) return place
    return -1
  }

  /** Puts a row at the place that `placeOf` returned for its key, or behind all others for -1. */
  put(row: MetadataRow, place: number): void {
    if (place !== -1) {
      this.#array[this.#from + place] = row
      return
    }
    if (this.#to < this.#array.length) this.#move()
    this.#index?.set(row.key, this.size)
    this.#array.push(row)
    this.#to++
  }

  copy(from: number, to = this.size): Array<MetadataRow> {
    return this.#array.slice(this.#from + from, this.#from + to)
  }

  #move(): void {
    const own = this.copy(0)
    // the places left behind must not keep alive rows that are replaced later
    this.#array.fill(own[0]!, this.#from, this.#to)
    this.#array = own
    this.#from = 0
    this.#to = own.length
  }

  #makeIndex(): Map<string, number> {
    return new Map(this.copy(0).map(({ key }, place) => [key, place]))
  }
}

/** This many lists of keys are remembered. */
const maxLayouts = 8

/**
 * Knows whether all keys of a report are distinct. Agents of one template report the same keys in the same order: the last
 * few lists of keys are remembered, so that most reports need one comparison per key and not one per pair of keys.
 */
export class KeyLayouts {
  readonly #known: Array<ReadonlyArray<string>> = []
  #next = 0

  /** Whether all keys of the rows from index `from` on are distinct. If there are too many rows it returns false. */
  allDistinct(rows: ReadonlyArray<MetadataRow>, from: number): boolean {
    const count = rows.length - from
    if (count > linearScanLimit) return false
    for (const keys of this.#known) {
      // the first ones of distinct keys are distinct as well
      let same = 0
      while (same < count && rows[from + same]!.key === keys[same]) same++
      if (same === count) return true
    }
    const keys = rows.slice(from).map(({ key }) => key)
    if (new Set(keys).size < count) return false
    this.#known[this.#next++ % maxLayouts] = keys
    return true
  }
}
