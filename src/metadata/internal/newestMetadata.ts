/**
 * Keeps the newest row of each agent and key.
 *
 * - Of two rows of one key the one collected later stays; at equal times the one that arrived later.
 * - A batch holds the rows of one agent side by side, agents in the order in which they were first seen. An agent with
 *   more rows than a batch has room for goes behind all others: however much it reports, it delays nobody.
 *
 * As long as agents do not get in each other's way, the array that their rows are merged into is the next batch.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { Accumulator, Selection } from "../../batcher/Accumulator.ts"
import { AgentRows, KeyLayouts } from "./agentRows.ts"
import type { Report } from "./report.ts"

export class NewestMetadata {
  readonly layouts: KeyLayouts
  /** The rows of agents that were new. If it has as many rows as there are, they are all of them. */
  readonly contiguous: Array<MetadataRow>
  readonly agents: Map<AgentId, AgentRows>
  size: number

  constructor(layouts: KeyLayouts, contiguous: Array<MetadataRow>, agents = new Map<AgentId, AgentRows>(), size = 0) {
    this.layouts = layouts
    this.contiguous = contiguous
    this.agents = agents
    this.size = size
  }
}

/** Puts a row in its place unless the row there was collected later. Returns the place. */
const put = (state: NewestMetadata, agent: AgentRows, row: MetadataRow, hint: number): number => {
  const place = agent.placeOf(row.key, hint)
  if (place === -1) state.size++
  else if (row.collectedAt.epochMilliseconds < agent.at(place).collectedAt.epochMilliseconds) return place
  agent.put(row, place)
  return place
}

/** Begins the rows of an agent that has none yet, behind all contiguous rows. */
const newAgent = (state: NewestMetadata, agentId: AgentId, from = state.contiguous.length): AgentRows => {
  const agent = new AgentRows(state.contiguous, from)
  state.agents.set(agentId, agent)
  return agent
}

/** Adds the rows of an agent that has none yet, if all their keys are distinct. */
const addNew = (state: NewestMetadata, report: Report, from: number, to: number): boolean => {
  const { contiguous } = state
  const first = contiguous.length
  for (let next = from; next < to; next++) contiguous.push(report.row(next))
  const isDistinct = state.layouts.allDistinct(contiguous, first)
  if (isDistinct) {
    newAgent(state, report.agentId, first)
    state.size += to - from
  } else {
    contiguous.length = first
  }
  return isDistinct
}

/** Takes rows of one agent as long as `select` lets them. Returns those that stay, and whether to go on. */
const takeSelected = (
  rows: AgentRows,
  batch: Array<MetadataRow>,
  max: number,
  select: (row: MetadataRow) => Selection
): readonly [left: Array<MetadataRow>, goesOn: boolean] => {
  const left: Array<MetadataRow> = []
  for (let place = 0; place < rows.size; place++) {
    const selection = batch.length < max ? select(rows.at(place)) : "stop"
    if (selection === "stop") return [[...left, ...rows.copy(place)], false]
    if (selection === "take") batch.push(rows.at(place))
    else left.push(rows.at(place))
  }
  return [left, true]
}

const takeWith = (
  { agents, layouts, size }: NewestMetadata,
  max: number,
  select: (row: MetadataRow) => Selection
): readonly [ReadonlyArray<MetadataRow>, NewestMetadata] => {
  const batch: Array<MetadataRow> = []
  // agents that are put behind the others here must not be visited again
  const last = [...agents.keys()].at(-1)
  for (const [agentId, rows] of agents) {
    const [left, goesOn] = takeSelected(rows, batch, max, select)
    if (left.length < rows.size) {
      agents.delete(agentId)
      if (left.length > 0) agents.set(agentId, new AgentRows(left))
    }
    if (!goesOn || agentId === last) break
  }
  return [batch, new NewestMetadata(layouts, [], agents, size - batch.length)]
}

export const newestMetadata: Accumulator<NewestMetadata, MetadataRow, Report> = {
  empty: () => new NewestMetadata(new KeyLayouts(), []),
  size: (state) => state.size,
  has: (state, row) => (state.agents.get(row.agentId)?.placeOf(row.key) ?? -1) !== -1,
  keyOf: (row) => `${row.agentId} ${row.key}`,
  add(state, report, from, to) {
    const held = state.agents.get(report.agentId)
    if (held === undefined && addNew(state, report, from, to)) return state
    const agent = held ?? newAgent(state, report.agentId)
    for (let next = from, hint = 0; next < to; next++) hint = put(state, agent, report.row(next), hint) + 1
    return state
  },
  restore(state, rows) {
    const restored = new NewestMetadata(state.layouts, [])
    const restore = (agentId: AgentId, row: MetadataRow) =>
      put(restored, restored.agents.get(agentId) ?? newAgent(restored, agentId), row, 0)
    for (const row of rows) restore(row.agentId, row)
    for (const [agentId, newer] of state.agents) {
      for (let place = 0; place < newer.size; place++) restore(agentId, newer.at(place))
    }
    return restored
  },
  take(state, max, select) {
    if (select !== undefined) return takeWith(state, max, select)
    const { agents, contiguous, layouts, size } = state
    if (size <= max && contiguous.length === size) {
      return [contiguous, new NewestMetadata(layouts, [])]
    }
    const batch: Array<MetadataRow> = []
    for (const [agentId, rows] of agents) {
      const room = max - batch.length
      if (room === 0) break
      const taken = Math.min(room, rows.size)
      for (let place = 0; place < taken; place++) batch.push(rows.at(place))
      agents.delete(agentId)
      if (taken < rows.size) agents.set(agentId, new AgentRows(rows.copy(taken)))
    }
    return [batch, new NewestMetadata(layouts, [], agents, size - batch.length)]
  }
}
