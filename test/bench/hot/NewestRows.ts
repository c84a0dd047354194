/** The newest row of each agent and key, in two levels of maps: the state of a contestant that merges. */
import type { AgentId } from "../../../src/domain/Ids.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"

export class NewestRows {
  readonly #agents = new Map<AgentId, Map<string, MetadataRow>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(row: MetadataRow): this {
    let keys = this.#agents.get(row.agentId)
    if (keys === undefined) this.#agents.set(row.agentId, (keys = new Map()))
    const held = keys.get(row.key)
    if (held === undefined) this.#size++
    else if (row.collectedAt.epochMilliseconds < held.collectedAt.epochMilliseconds) return this
    keys.set(row.key, row)
    return this
  }

  rows(): ReadonlyArray<MetadataRow> {
    const rows: Array<MetadataRow> = []
    for (const keys of this.#agents.values()) for (const row of keys.values()) rows.push(row)
    return rows
  }
}
