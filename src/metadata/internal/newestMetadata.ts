/**
 * Keeps the newest row of each agent and key.
 *
 * - Of two rows of one key the one collected later stays; at equal times the one that arrived later.
 * - A batch holds the rows of one agent side by side, agents in the order in which they were first seen. An agent with
 *   more rows than a batch has room for goes behind all others: however much it reports, it delays nobody.
 *
 * Where it is sized it counts the memory that rows take, and evicts rows of the agents that have the most: an agent that
 * has less than its fair share keeps all of its rows.
 *
 * As long as agents do not get in each other's way, the array that their rows are merged into is the next batch.
 */
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../domain/Metadata.ts"
import type { Accumulator, Selection } from "../../batcher/Accumulator.ts"
import { AgentRows, KeyLayouts } from "./agentRows.ts"
import type { Report } from "./report.ts"

export class NewestMetadata {
  readonly layouts: KeyLayouts
  /** The rows of agents that were new. If it has as many rows as there are, they are all of them. */
  readonly contiguous: Array<MetadataRow>
  readonly agents: Map<AgentId, AgentRows>
  size: number
  /** The bytes of all rows, if they are counted. */
  bytes: number | undefined

  constructor(
    layouts: KeyLayouts,
    bytes: number | undefined,
    contiguous: Array<MetadataRow> = [],
    agents = new Map<AgentId, AgentRows>(),
    size = 0
  ) {
    this.layouts = layouts
    this.bytes = bytes
    this.contiguous = contiguous
    this.agents = agents
    this.size = size
  }
}

/** The memory of a row without its characters, in bytes. */
const emptyRowBytes = 200

/** The most memory that a row takes, in bytes. A character takes one or two. */
export const heldBytes = ({ error, key, value }: MetadataEntry): number =>
  2 * (key.length + value.length + error.length) + emptyRowBytes

const bytesOf = (entries: ReadonlyArray<MetadataEntry>, from = 0, to = entries.length): number => {
  let bytes = 0
  for (let next = from; next < to; next++) bytes += heldBytes(entries[next]!)
  return bytes
}

/** Puts a row in its place unless the row there was collected later. Returns the place. */
const put = (state: NewestMetadata, agent: AgentRows, row: MetadataRow, hint: number): number => {
  const place = agent.placeOf(row.key, hint)
  if (place === -1) state.size++
  else if (row.collectedAt.epochMilliseconds < agent.at(place).collectedAt.epochMilliseconds) return place
  if (state.bytes !== undefined) {
    const bytes = heldBytes(row) - (place === -1 ? 0 : heldBytes(agent.at(place)))
    state.bytes += bytes
    agent.bytes += bytes
  }
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
    const agent = newAgent(state, report.agentId, first)
    state.size += to - from
    if (state.bytes !== undefined) {
      agent.bytes = bytesOf(contiguous, first)
      state.bytes += agent.bytes
    }
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

/** The rows of an agent of which some were taken. */
const leftOf = (left: Array<MetadataRow>, isSized: boolean): AgentRows =>
  new AgentRows(left, 0, left.length, isSized ? bytesOf(left) : 0)

/** The state after a batch was taken. */
const without = ({ agents, bytes, layouts, size }: NewestMetadata, batch: ReadonlyArray<MetadataRow>): NewestMetadata =>
  new NewestMetadata(layouts, bytes && bytes - bytesOf(batch), [], agents, size - batch.length)

const takeWith = (
  state: NewestMetadata,
  max: number,
  select: (row: MetadataRow) => Selection
): readonly [ReadonlyArray<MetadataRow>, NewestMetadata] => {
  const { agents, bytes } = state
  const batch: Array<MetadataRow> = []
  // agents that are put behind the others here must not be visited again
  const last = [...agents.keys()].at(-1)
  for (const [agentId, rows] of agents) {
    const [left, goesOn] = takeSelected(rows, batch, max, select)
    if (left.length < rows.size) {
      agents.delete(agentId)
      if (left.length > 0) agents.set(agentId, leftOf(left, bytes !== undefined))
    }
    if (!goesOn || agentId === last) break
  }
  return [batch, without(state, batch)]
}

/** The bytes that every agent may keep, the largest first, so that those who have more give up `bytes` together. */
const fairShare = (sizes: ReadonlyArray<number>, bytes: number): number => {
  let sum = 0
  for (const [index, size] of sizes.entries()) {
    sum += size
    const share = (sum - bytes) / (index + 1)
    if (share >= (sizes[index + 1] ?? 0)) return share
  }
  return 0
}

/** The rows of an agent that fit into so many bytes, the first ones first. The others join `evicted`. */
const keep = (rows: AgentRows, max: number, evicted: Array<MetadataRow>): AgentRows => {
  // an array of its own: one that agents share would keep rows alive that are evicted
  const kept: Array<MetadataRow> = []
  let bytes = 0
  for (let place = 0; place < rows.size; place++) {
    const row = rows.at(place)
    const more = heldBytes(row)
    if (bytes + more > max) {
      evicted.push(row)
      continue
    }
    kept.push(row)
    bytes += more
  }
  return new AgentRows(kept, 0, kept.length, bytes)
}

const evict = (
  { agents, layouts }: NewestMetadata,
  bytes: number
): readonly [ReadonlyArray<MetadataRow>, NewestMetadata] => {
  const largestFirst = [...agents].toSorted(([, a], [, b]) => b.bytes - a.bytes)
  const share = fairShare(
    largestFirst.map(([, rows]) => rows.bytes),
    bytes
  )
  const evicted: Array<MetadataRow> = []
  const reduced = new Map<AgentId, AgentRows>()
  let missing = bytes
  for (const [agentId, rows] of largestFirst) {
    if (missing <= 0) break
    const kept = keep(rows, share, evicted)
    reduced.set(agentId, kept)
    missing -= rows.bytes - kept.bytes
  }
  const rest = new NewestMetadata(layouts, 0)
  for (const [agentId, rows] of agents) {
    const kept = reduced.get(agentId) ?? keep(rows, Number.POSITIVE_INFINITY, evicted)
    if (kept.size === 0) continue
    rest.agents.set(agentId, kept)
    rest.size += kept.size
    rest.bytes! += kept.bytes
  }
  return [evicted, rest]
}

const accumulator = (isSized: boolean): Accumulator<NewestMetadata, MetadataRow, Report> => ({
  empty: () => new NewestMetadata(new KeyLayouts(), isSized ? 0 : undefined),
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
    const restored = new NewestMetadata(state.layouts, state.bytes && 0)
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
    const { agents, bytes, contiguous, layouts, size } = state
    if (size <= max && contiguous.length === size) {
      return [contiguous, new NewestMetadata(layouts, bytes && 0)]
    }
    const batch: Array<MetadataRow> = []
    for (const [agentId, rows] of agents) {
      const room = max - batch.length
      if (room === 0) break
      const taken = Math.min(room, rows.size)
      for (let place = 0; place < taken; place++) batch.push(rows.at(place))
      agents.delete(agentId)
      if (taken < rows.size) agents.set(agentId, leftOf(rows.copy(taken), bytes !== undefined))
    }
    return [batch, without(state, batch)]
  },
  sized: isSized
    ? { bytes: ({ bytes = 0 }) => bytes, bytesOf: ({ entries }, from, to) => bytesOf(entries, from, to), evict }
    : undefined,
  sources: {
    of: ({ agentId }) => agentId,
    count: ({ agents }, agentId) => agents.get(agentId as AgentId)?.size ?? 0
  }
})

export const newestMetadata = accumulator(false)

/** {@link newestMetadata} that counts bytes. */
export const sizedNewestMetadata = accumulator(true)
