/**
 * The data that every part uses, the same in every run.
 *
 * An agent has 15 keys and reports 10 of them at a time: 8 with a value of 20 bytes, 2 with one of 200. Reports of all
 * agents come in a shuffled order, so that now and then one agent is back before its last report was written.
 */
import { Array, DateTime, Effect, Random } from "effect"
import * as Crypto from "node:crypto"
import { rowOf } from "../../src/metadata/internal/report.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../src/domain/Metadata.ts"

export interface Report {
  readonly agentId: AgentId
  readonly entries: ReadonlyArray<MetadataEntry>
}

export const keysPerAgent = 15
export const keysPerReport = 10

/** Every sample has this time: of two with the same key the one that comes later counts. */
export const collectedAt = DateTime.makeUnsafe("2026-01-22T12:00:00Z")

export const keys: ReadonlyArray<string> = Array.makeBy(keysPerAgent, (key) => `signal_${key}`)

/** Of which a fleet makes the time of its reports; see {@link fullReport}. */
export const lastKey = keys.at(-1)!

/** So many agents, the same each time. */
export const agents = (count: number): ReadonlyArray<AgentId> => Array.makeBy(count, idOf)

const idOf = (agent: number): AgentId =>
  Crypto.createHash("sha256")
    .update(`agent ${agent}`)
    .digest("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5") as AgentId

/** The first key of each of the three reports that an agent has; any two have half of their keys in common. */
const windows = [0, 5, 10]

/**
 * Three reports of each agent. They lie in memory in the order in which they are used, as if each had just been read from
 * its socket: in any other order it would be the memory that is measured.
 */
export const reports = (agents: ReadonlyArray<AgentId>): Effect.Effect<ReadonlyArray<Report>> =>
  Random.shuffle(agents.flatMap((agent) => windows.map((first) => [agent, first] as const))).pipe(
    Effect.map((order) => order.map(([id, first]) => report(id, first))),
    Random.withSeed("reports")
  )

/** One report of each agent, all with the same keys, in the order of the agents. */
export const roll = (agents: ReadonlyArray<AgentId>): ReadonlyArray<Report> => agents.map((agent) => report(agent, 0))

/** One report of each agent, ten times: 40 agents take turns before the next 40 do. Nine of ten updates repeat a key. */
export const repeats = (agents: ReadonlyArray<AgentId>): ReadonlyArray<Report> =>
  chunksOf(roll(agents), 40).flatMap((some) => Array.makeBy(10, () => some).flat())

/** A report of all keys of an agent. */
export const fullReport = (agentId: AgentId): Report => report(agentId, 0, keysPerAgent)

// parsed, as what was read from a socket is: where V8 puts the objects of a literal depends on what ran before
const report = (agentId: AgentId, first: number, count = keysPerReport): Report => {
  const samples = Array.makeBy(count, (index) => {
    const value = valueOf(agentId, (first + index) % 5 === 0 ? 200 : 20)
    return { key: keys[(first + index) % keysPerAgent]!, value, error: "", collectedAt: null }
  })
  const read = JSON.parse(JSON.stringify(samples)) as ReadonlyArray<Omit<MetadataEntry, "collectedAt">>
  return { agentId, entries: read.map((sample) => Object.assign(sample, { collectedAt })) }
}

/** A value of so many bytes. */
const valueOf = (agentId: AgentId, bytes: number): string => agentId.slice(0, 18).padEnd(bytes, ".")

/** The rows of a report, made as the batcher makes its own: not by a literal, whose objects V8 may put elsewhere in each run. */
export const rowsOf = ({ agentId, entries }: Report): ReadonlyArray<MetadataRow> =>
  entries.map((entry) => rowOf(agentId, entry))

/** `Array.chunksOf` of effect, in a time that does not grow with the square of the length. */
export const chunksOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.makeBy(Math.ceil(all.length / size), (index) => all.slice(index * size, (index + 1) * size))
