/**
 * One report of an agent, held as it came: a row is made when it is merged, straight into the batch.
 *
 * To make all rows when the report comes would cost an array per report and a second pass over each row.
 */
import type { Types } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../domain/Metadata.ts"
import type { Updates } from "../../batcher/Accumulator.ts"

// a plain object from a constructor, not from a literal: see "Pretenuring in V8" in test/bench/README.md
const Row = function (
  this: Types.Mutable<MetadataRow>,
  agentId: AgentId,
  { collectedAt, error, key, value }: MetadataEntry
) {
  this.agentId = agentId
  this.key = key
  this.value = value
  this.error = error
  this.collectedAt = collectedAt
} as unknown as { new (agentId: AgentId, entry: MetadataEntry): MetadataRow; prototype: object }
Row.prototype = Object.prototype

export const rowOf = (agentId: AgentId, entry: MetadataEntry): MetadataRow => new Row(agentId, entry)

export class Report implements Updates<MetadataRow, Report> {
  readonly agentId: AgentId
  readonly entries: ReadonlyArray<MetadataEntry>
  readonly #onRow: ((row: MetadataRow) => void) | undefined

  /** `onRow` is called with every row that is made. */
  constructor(agentId: AgentId, entries: ReadonlyArray<MetadataEntry>, onRow?: (row: MetadataRow) => void) {
    this.agentId = agentId
    this.entries = entries
    this.#onRow = onRow
  }

  get length(): number {
    return this.entries.length
  }

  row(index: number): MetadataRow {
    const row = rowOf(this.agentId, this.entries[index]!)
    this.#onRow?.(row)
    return row
  }

  slice(from: number, to?: number): Report {
    return new Report(this.agentId, this.entries.slice(from, to), this.#onRow)
  }

  forEach(use: (row: MetadataRow) => void): void {
    for (let index = 0; index < this.length; index++) use(this.row(index))
  }

  filter(keep: (row: MetadataRow, index: number, all: Report) => boolean): Report {
    const kept = this.entries.filter((_, index) => keep(this.row(index), index, this))
    return new Report(this.agentId, kept, this.#onRow)
  }
}
