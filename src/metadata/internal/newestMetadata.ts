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
  if (state.bytes !== undefined) state.bytes += heldBytes(row) - (place === -1 ? 0 : heldBytes(agent.at(place)))
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
    if (state.bytes !== undefined) state.bytes += bytesOf(contiguous, first)
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

/** The state after rows were taken from its agents. */
const without = ({ agents, bytes, layouts, size }: NewestMetadata, taken: ReadonlyArray<MetadataRow>): NewestMetadata =>
  new NewestMetadata(layouts, bytes && bytes - bytesOf(taken), [], agents, size - taken.length)

const takeWith = (
  state: NewestMetadata,
  max: number,
  select: (row: MetadataRow) => Selection
): readonly [ReadonlyArray<MetadataRow>, NewestMetadata] => {
  const { agents } = state
  const batch: Array<MetadataRow> = []
  // agents that are put behind the others here are not visited again
  let unvisited = agents.size
  for (const [agentId, rows] of agents) {
    if (unvisited-- === 0) break
    const [left, goesOn] = takeSelected(rows, batch, max, select)
    if (left.length < rows.size) {
      agents.delete(agentId)
      if (left.length > 0) agents.set(agentId, new AgentRows(left))
    }
    if (!goesOn) break
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

/** Returns the rows that fit into so many bytes, the first ones first. The others join `evicted`. */
const keep = (rows: ReadonlyArray<MetadataRow>, max: number, evicted: Array<MetadataRow>): Array<MetadataRow> => {
  let room = max
  return rows.filter((row) => {
    const isKept = heldBytes(row) <= room
    if (isKept) room -= heldBytes(row)
    else evicted.push(row)
    return isKept
  })
}

const evict = (state: NewestMetadata, bytes: number): readonly [ReadonlyArray<MetadataRow>, NewestMetadata] => {
  const { agents } = state
  const largestFirst = [...agents]
    // arrays of their own: one that agents share would keep rows alive that are evicted
    .map(([agentId, shared]) => {
      const rows = shared.copy(0)
      return { agentId, rows, size: bytesOf(rows) }
    })
    .toSorted((a, b) => b.size - a.size)
  const share = fairShare(
    largestFirst.map(({ size }) => size),
    bytes
  )
  const evicted: Array<MetadataRow> = []
  let missing = bytes
  for (const { agentId, rows, size } of largestFirst) {
    const kept = missing > 0 ? keep(rows, share, evicted) : rows
    missing -= size - bytesOf(kept)
    if (kept.length > 0) agents.set(agentId, new AgentRows(kept))
    else agents.delete(agentId)
  }
  return [evicted, without(state, evicted)]
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
    const { bytes, contiguous, layouts, size } = state
    if (select === undefined && size <= max && contiguous.length === size) {
      return [contiguous, new NewestMetadata(layouts, bytes && 0)]
    }
    return takeWith(state, max, select ?? (() => "take"))
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
