/**
 * The port through which metadata is written and read.
 *
 * An adapter owes its users three things: a batch that failed can be written again, as a whole or in parts, without
 * harm; a row that is older than what is stored changes nothing; and only the agents of whom something changed are
 * answered, because those are announced. How long it may take is its own to bound: a batcher waits for it.
 */
import { Context, DateTime, Duration, Effect, Layer, Schema } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { AgentMetadata, MetadataRow } from "../domain/Metadata.ts"

/**
 * A store that could not write or read.
 *
 * - `rejected`: the data is bad and would be refused again; the batch is worth splitting.
 * - `unavailable`: the store is away or overloaded; the same batch may succeed later.
 * - `cancelled`: the statement was cancelled, by a timeout or on purpose.
 */
export class MetadataStoreError extends Schema.TaggedError<MetadataStoreError>()("MetadataStoreError", {
  reason: Schema.Literals(["rejected", "unavailable", "cancelled"]),
  cause: Schema.Defect()
}) {
  override get message() {
    return explanations[this.reason]
  }
}

const explanations: Readonly<Record<MetadataStoreError["reason"], string>> = {
  rejected: "the metadata store refused the data: the same data would be refused again",
  unavailable: "the metadata store is away or overloaded: try again when it can be reached",
  cancelled:
    "the metadata store cancelled the statement: raise its timeout, or find out what it waits for, then try again"
}

export class MetadataStore extends Context.Service<
  MetadataStore,
  {
    /**
     * Writes rows of any agents in one go and answers the agents of whom a row changed. A row must not name the same
     * agent and key as another. Undeclared keys and stale rows change nothing and are no error.
     */
    readonly updateBatch: (
      rows: ReadonlyArray<MetadataRow>
    ) => Effect.Effect<ReadonlyArray<AgentId>, MetadataStoreError>
    /** The metadata of one agent: the listed keys, or all of them when `keys` is absent or empty. In no order. */
    readonly read: (
      agentId: AgentId,
      keys?: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<AgentMetadata>, MetadataStoreError>
    /**
     * The metadata of several agents, each named once, with all their keys. An agent that is missing in the answer has
     * none. A store that has nothing better than to read one agent after the other leaves it out.
     */
    readonly readMany?:
      | ((
          agentIds: ReadonlyArray<AgentId>
        ) => Effect.Effect<ReadonlyMap<AgentId, ReadonlyArray<AgentMetadata>>, MetadataStoreError>)
      | undefined
  }
>()("metadata-batcher/metadata/MetadataStore") {}

/**
 * A store in this process's memory, for tests and for trying things out. It knows no declarations: a key exists from
 * its first sample on, displayed under its own name.
 */
export const layerMemory: Layer.Layer<MetadataStore> = Layer.sync(MetadataStore, () => {
  const agents = new Map<AgentId, Map<string, AgentMetadata>>()

  const write = (row: MetadataRow): boolean => {
    let keys = agents.get(row.agentId)
    if (keys === undefined) agents.set(row.agentId, (keys = new Map()))
    const stored = keys.get(row.key)
    if (stored !== undefined && DateTime.isGreaterThan(stored.collectedAt, row.collectedAt)) return false
    const { collectedAt, error, value } = row
    keys.set(row.key, { ...(stored ?? undeclared(row.key)), value, error, collectedAt })
    return true
  }

  return {
    updateBatch: (rows) => Effect.sync(() => [...new Set(rows.filter(write).map((row) => row.agentId))]),
    read: (agentId, keys = []) =>
      Effect.sync(() => {
        const all = [...(agents.get(agentId)?.values() ?? [])]
        return keys.length === 0 ? all : all.filter((metadata) => keys.includes(metadata.key))
      })
  }
})

const undeclared = (key: string) => ({
  displayName: key,
  key,
  script: "",
  interval: Duration.zero,
  timeout: Duration.zero,
  displayOrder: 0
})
