/**
 * What an agent reported at once, held as it came: a row of it is made when it is merged, straight into the batch.
 *
 * To make all rows when the report comes would cost an array for each report and a second walk over each row.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../domain/Metadata.ts"
import type { Updates } from "../Accumulator.ts"

/**
 * What is made for every report and every row is made by classes, and no literal holds a row: what comes of a literal V8
 * may allocate with the old generation, for good, once much of it has lived through a collection, as it does while the
 * database is slow. From then on every batch kept its rows alive until the next full collection, at twice the cost.
 */
class Row implements MetadataRow {
  readonly agentId: AgentId
  readonly key: MetadataRow["key"]
  readonly value: MetadataRow["value"]
  readonly error: MetadataRow["error"]
  readonly collectedAt: MetadataRow["collectedAt"]

  constructor(agentId: AgentId, { collectedAt, error, key, value }: MetadataEntry) {
    this.agentId = agentId
    this.key = key
    this.value = value
    this.error = error
    this.collectedAt = collectedAt
  }
}

export class Report implements Updates<MetadataRow, Report> {
  readonly agentId: AgentId
  readonly entries: ReadonlyArray<MetadataEntry>
  readonly #onRow: ((row: MetadataRow) => void) | undefined

  /** `onRow` hears of every row that is made. */
  constructor(agentId: AgentId, entries: ReadonlyArray<MetadataEntry>, onRow?: (row: MetadataRow) => void) {
    this.agentId = agentId
    this.entries = entries
    this.#onRow = onRow
  }

  get length(): number {
    return this.entries.length
  }

  row(index: number): MetadataRow {
    const row = new Row(this.agentId, this.entries[index]!)
    this.#onRow?.(row)
    return row
  }

  slice(from: number, to?: number): Report {
    return new Report(this.agentId, this.entries.slice(from, to), this.#onRow)
  }

  filter(keep: (row: MetadataRow, index: number, all: Report) => boolean): Report {
    const kept = this.entries.filter((_, index) => keep(this.row(index), index, this))
    return new Report(this.agentId, kept, this.#onRow)
  }
}
