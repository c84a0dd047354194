/**
 * Keeps the newest row of each agent and key.
 *
 * - Of two rows of one key the one collected later stays; at equal times the one that arrived later.
 * - Batches hold the rows of one agent side by side, agents in the order in which they were first seen. An agent with
 *   more rows than a batch has room for is behind all others then: however much it reports, it holds nobody up.
 *
 * As long as agents do not get in each other's way, the array that their rows are merged into is the next batch.
 *
 * What holds rows for longer than a call comes from constructors and copies: the objects of a literal V8 may come to
 * allocate with the old generation, where they keep the rows of their batch until a full collection.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { Accumulator } from "../../batcher/Accumulator.ts"
import { AgentRows, DistinctKeys } from "./agentRows.ts"
import type { Report } from "./report.ts"

export class NewestMetadata {
  readonly distinctKeys: DistinctKeys
  /** What agents share that are new. If it has as many rows as there are, those are all of them. */
  readonly shared: Array<MetadataRow>
  readonly agents: Map<AgentId, AgentRows>
  size: number

  constructor(
    distinctKeys: DistinctKeys,
    shared: Array<MetadataRow>,
    agents = new Map<AgentId, AgentRows>(),
    size = 0
  ) {
    this.distinctKeys = distinctKeys
    this.shared = shared
    this.agents = agents
    this.size = size
  }
}

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
  else if (wins(agent.at(place), row)) return place
  agent.put(row, place)
  return place
}

const isNewer = (held: MetadataRow, row: MetadataRow) => isOlder(row, held)
const isNotOlder = (held: MetadataRow, row: MetadataRow) => !isOlder(held, row)

/** Rows of an agent of whom there are none yet; they begin behind all that are shared. */
const newAgent = (state: NewestMetadata, agentId: AgentId, from = state.shared.length): AgentRows => {
  const agent = new AgentRows(state.shared, from)
  state.agents.set(agentId, agent)
  return agent
}

/** Adds the rows of an agent of whom there are none yet, if no two have the same key. */
const addNew = (state: NewestMetadata, report: Report, from: number, to: number): boolean => {
  const { shared } = state
  const first = shared.length
  for (let next = from; next < to; next++) shared.push(report.row(next))
  const isDistinct = state.distinctKeys.has(shared, first)
  if (isDistinct) {
    newAgent(state, report.agentId, first)
    state.size += to - from
  } else {
    shared.length = first
  }
  return isDistinct
}

export const newestMetadata: Accumulator<NewestMetadata, MetadataRow, Report> = {
  empty: () => new NewestMetadata(new DistinctKeys(), []),
  size: (state) => state.size,
  has: (state, row) => (state.agents.get(row.agentId)?.placeOf(row.key) ?? -1) !== -1,
  add(state, report, from, to) {
    const held = state.agents.get(report.agentId)
    if (held === undefined && addNew(state, report, from, to)) return state
    const agent = held ?? newAgent(state, report.agentId)
    for (let next = from, guess = 0; next < to; next++) guess = put(state, agent, report.row(next), guess, isNewer) + 1
    return state
  },
  restore(state, row) {
    put(state, state.agents.get(row.agentId) ?? newAgent(state, row.agentId), row, 0, isNotOlder)
    return state
  },
  take({ agents, distinctKeys, shared, size }, max) {
    if (size <= max && shared.length === size) return [shared, new NewestMetadata(distinctKeys, shared.slice(0, 0))]
    const batch = shared.slice(0, 0)
    for (const [agentId, rows] of agents) {
      const room = max - batch.length
      if (room === 0) break
      const taken = Math.min(room, rows.size)
      for (let place = 0; place < taken; place++) batch.push(rows.at(place))
      agents.delete(agentId)
      if (taken < rows.size) agents.set(agentId, new AgentRows(rows.copy(taken)))
    }
    return [batch, new NewestMetadata(distinctKeys, shared.slice(0, 0), agents, size - batch.length)]
  }
}
