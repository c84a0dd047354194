/**
 * Keeps the newest row of each agent and key.
 *
 * - Of two rows of one key the one collected later stays; at equal times the one that arrived later.
 * - Batches hold the rows of one agent side by side, agents in the order in which they were first seen. An agent with
 *   more rows than a batch has room for is behind all others then: however much it reports, it holds nobody up.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { Accumulator } from "../Accumulator.ts"
import { AgentRows, DistinctKeys } from "./agentRows.ts"

export interface NewestMetadata {
  readonly agents: Map<AgentId, AgentRows>
  readonly distinctKeys: DistinctKeys
  size: number
}

const empty = (): NewestMetadata => ({ agents: new Map(), distinctKeys: new DistinctKeys(), size: 0 })

const isOlder = (row: MetadataRow, than: MetadataRow): boolean =>
  row.collectedAt.epochMilliseconds < than.collectedAt.epochMilliseconds

/** Puts a row in its place unless the one that is there `wins`. Answers where. */
const put = (
  state: NewestMetadata,
  agent: AgentRows,
  row: MetadataRow,
  guess: number,
  wins: (held: MetadataRow, row: MetadataRow) => boolean
): number => {
  const place = agent.placeOf(row.key, guess)
  if (place === -1) state.size++
  else if (wins(agent.rows[place]!, row)) return place
  agent.put(row, place)
  return place
}

const isNewer = (held: MetadataRow, row: MetadataRow) => isOlder(row, held)
const isNotOlder = (held: MetadataRow, row: MetadataRow) => !isOlder(held, row)

const agentOf = (state: NewestMetadata, agentId: AgentId): AgentRows => {
  const held = state.agents.get(agentId)
  if (held !== undefined) return held
  const agent = new AgentRows([])
  state.agents.set(agentId, agent)
  return agent
}

/** Adds rows of one agent. */
const addRows = (state: NewestMetadata, rows: ReadonlyArray<MetadataRow>, from: number, to: number): void => {
  const { agentId } = rows[from]!
  let agent = state.agents.get(agentId)
  if (agent === undefined && state.distinctKeys.has(rows, from, to)) {
    state.agents.set(agentId, new AgentRows(to - from === rows.length ? rows : rows.slice(from, to)))
    state.size += to - from
    return
  }
  agent ??= agentOf(state, agentId)
  for (let next = from, guess = 0; next < to; next++) guess = put(state, agent, rows[next]!, guess, isNewer) + 1
}

export const newestMetadata: Accumulator<NewestMetadata, MetadataRow> = {
  empty,
  size: (state) => state.size,
  has: (state, row) => (state.agents.get(row.agentId)?.placeOf(row.key) ?? -1) !== -1,
  add(state, rows, from, to) {
    for (let start = from, end = from; start < to; start = end) {
      const { agentId } = rows[start]!
      do end++
      while (end < to && rows[end]!.agentId === agentId)
      addRows(state, rows, start, end)
    }
    return state
  },
  restore(state, row) {
    put(state, agentOf(state, row.agentId), row, 0, isNotOlder)
    return state
  },
  take(state, max) {
    const batch: Array<MetadataRow> = []
    const all = state.size <= max
    for (const [agentId, { rows }] of state.agents) {
      const room = max - batch.length
      if (room === 0) break
      for (let next = 0; next < rows.length && next < room; next++) batch.push(rows[next]!)
      if (all) continue
      state.agents.delete(agentId)
      if (rows.length > room) state.agents.set(agentId, new AgentRows(rows.slice(room)))
    }
    return [batch, { ...state, agents: all ? new Map() : state.agents, size: state.size - batch.length }]
  }
}
