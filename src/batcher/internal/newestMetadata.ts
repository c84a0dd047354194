/**
 * Keeps the newest row of each agent and key.
 *
 * - Of two rows of one key the one collected later stays; at equal times the one that arrived later.
 * - Batches hold the rows of one agent side by side, agents in the order in which they were first seen. An agent with
 *   more rows than a batch has room for is behind all others then: however much it reports, it holds nobody up.
 *
 * A map per agent costs a third of one map with composed keys, and reports come agent by agent, so the map of the last
 * agent is kept at hand.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { Accumulator } from "../Accumulator.ts"

export interface NewestMetadata {
  agents: Map<AgentId, Map<string, MetadataRow>>
  size: number
  lastAgent: AgentId | undefined
  lastKeys: Map<string, MetadataRow> | undefined
}

const empty = (): NewestMetadata => ({ agents: new Map(), size: 0, lastAgent: undefined, lastKeys: undefined })

const isOlder = (row: MetadataRow, than: MetadataRow): boolean =>
  row.collectedAt.epochMilliseconds < than.collectedAt.epochMilliseconds

const keysOf = (state: NewestMetadata, agentId: AgentId): Map<string, MetadataRow> => {
  if (state.lastAgent === agentId && state.lastKeys !== undefined) return state.lastKeys
  let keys = state.agents.get(agentId)
  if (keys === undefined) state.agents.set(agentId, (keys = new Map()))
  state.lastAgent = agentId
  state.lastKeys = keys
  return keys
}

export const newestMetadata: Accumulator<NewestMetadata, MetadataRow> = {
  empty,
  size: (state) => state.size,
  has: (state, row) => state.agents.get(row.agentId)?.has(row.key) ?? false,
  add(state, row) {
    const keys = keysOf(state, row.agentId)
    const held = keys.get(row.key)
    if (held === undefined) state.size++
    else if (isOlder(row, held)) return state
    keys.set(row.key, row)
    return state
  },
  restore(state, row) {
    const keys = keysOf(state, row.agentId)
    const held = keys.get(row.key)
    if (held === undefined) state.size++
    else if (!isOlder(held, row)) return state
    keys.set(row.key, row)
    return state
  },
  take(state, max) {
    const batch: Array<MetadataRow> = []
    if (state.size <= max) {
      for (const keys of state.agents.values()) for (const row of keys.values()) batch.push(row)
      return [batch, empty()]
    }
    for (const [agentId, keys] of state.agents) {
      if (batch.length === max) break
      state.agents.delete(agentId)
      for (const [key, row] of keys) {
        if (batch.length === max) break
        batch.push(row)
        keys.delete(key)
      }
      if (keys.size > 0) state.agents.set(agentId, keys)
    }
    return [batch, { ...empty(), agents: state.agents, size: state.size - max }]
  }
}
