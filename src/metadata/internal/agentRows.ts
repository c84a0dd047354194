/**
 * The newest rows of one agent, one for each key.
 *
 * An agent reports much the same keys in much the same order each time, and most often once between two batches. So its
 * rows are a part of an array that it shares with the agents before it: they can be replaced where they are, and for as
 * long as they are the last ones there can be more of them. A further report finds most keys in the place where they were;
 * only an agent with many keys has an index of them. All that costs a fifth of a map of keys for each agent.
 */
import type { MetadataRow } from "../../domain/Metadata.ts"

/** Up to so many keys are compared one by one. */
const few = 16

export class AgentRows {
  #array: Array<MetadataRow>
  #from: number
  #to: number
  #places: Map<string, number> | undefined

  /** The rows of the array from the place `from` to before `to`, of which no two may have the same key. */
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

  /** Where the row of a key is, or -1. `guess` is looked at first. */
  placeOf(key: string, guess = 0): number {
    if (guess < this.size && this.at(guess).key === key) return guess
    if (this.size > few) return (this.#places ??= this.#index()).get(key) ?? -1
    for (let place = 0; place < this.size; place++) if (this.at(place).key === key) return place
    return -1
  }

  /** Puts a row where `placeOf` has found that of its key, or behind all others. */
  put(row: MetadataRow, place: number): void {
    if (place !== -1) {
      this.#array[this.#from + place] = row
      return
    }
    if (this.#to < this.#array.length) this.#move()
    this.#places?.set(row.key, this.size)
    this.#array.push(row)
    this.#to++
  }

  copy(from: number, to = this.size): Array<MetadataRow> {
    return this.#array.slice(this.#from + from, this.#from + to)
  }

  #move(): void {
    const own = this.copy(0)
    // the places that are left must not keep alive what is replaced later
    this.#array.fill(own[0]!, this.#from, this.#to)
    this.#array = own
    this.#from = 0
    this.#to = own.length
  }

  #index(): Map<string, number> {
    return new Map(this.copy(0).map(({ key }, place) => [key, place]))
  }
}

/** How many lists of keys are remembered. */
const layouts = 8

/**
 * Knows whether no two rows of a report have the same key. Agents of one template report the same keys in the same
 * order: the last few such lists are remembered, so that most reports need one comparison for each key and not one for
 * each pair.
 */
export class DistinctKeys {
  readonly #known: Array<ReadonlyArray<string>> = []

  /** Looks at the rows from a place on, if they are not too many: then the answer is no. */
  has(rows: ReadonlyArray<MetadataRow>, from: number): boolean {
    const count = rows.length - from
    if (count > few) return false
    for (const keys of this.#known) {
      let same = 0
      if (keys.length === count) while (same < count && rows[from + same]!.key === keys[same]) same++
      if (same === count) return true
    }
    const keys = rows.slice(from).map(({ key }) => key)
    if (new Set(keys).size < count) return false
    this.#known.unshift(keys)
    if (this.#known.length > layouts) this.#known.pop()
    return true
  }
}
