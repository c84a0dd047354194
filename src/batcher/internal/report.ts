/**
 * What an agent reported at once, held as it came: a row of it is made when it is merged, straight into the batch.
 *
 * To make all rows when the report comes would cost an array for each report and a second walk over each row.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../domain/Metadata.ts"
import type { Updates } from "../Accumulator.ts"

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
    const { collectedAt, error, key, value } = this.entries[index]!
    const row = { agentId: this.agentId, key, value, error, collectedAt }
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
