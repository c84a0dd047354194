/**
 * The port through which metadata is written and read.
 *
 * An adapter owes its users three things: a batch that failed can be written again, as a whole or in parts, without
 * harm; a row that is older than what is stored changes nothing; and only the agents of whom something changed are
 * answered, because those are announced. How long it may take is its own to bound: a batcher waits for it.
 *
 * @example
 * ```ts
 * import { DateTime, Effect, Layer } from "effect"
 * import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
 *
 * // a store of one's own: writes a batch in one go, and returns the agents of whom something changed
 * const Store = Layer.sync(MetadataStore.MetadataStore, () =>
 *   MetadataStore.make({
 *     updateBatch: (rows) =>
 *       Effect.tryPromise({
 *         try: async () => {
 *           console.log(rows.map(({ key, value }) => `${key}=${value}`))
 *           return [...new Set(rows.map(({ agentId }) => agentId))]
 *         },
 *         catch: (cause) => new MetadataStore.MetadataStoreError({ reason: "unavailable", cause })
 *       }),
 *     read: () => Effect.succeed([])
 *   })
 * )
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = Effect.gen(function* () {
 *   const batcher = yield* MetadataBatcher.MetadataBatcher
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 * })
 * const Batching = Layer.provide(MetadataBatcher.layer(), [Store, PubSub.layerMemory])
 * await Effect.runPromise(Effect.provide(program, Batching))
 * // Output:
 * // [ 'cpu=12 %' ]
 * ```
 */
import { Context, DateTime, Duration, Effect, Layer } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { AgentMetadata, MetadataRow } from "../domain/Metadata.ts"

/** The error of every operation of a store. */
export { StoreError as MetadataStoreError } from "../domain/StoreError.ts"

/** The channel on which writers announce the agents that `updateBatch` returned, as payloads of `AgentIdChunks`. */
export const channel = "workspace_agent_metadata_batch"

/** The store of metadata as a service. */
export class MetadataStore extends Context.Service<
  MetadataStore,
  {
    /**
     * Writes rows of any agents in one go and answers the agents of whom a row changed. A row must not name the same
     * agent and key as another. Undeclared keys and stale rows change nothing and are no error. An error may name
     * agents of whom a row changed nevertheless: these are announced, too.
     */
    readonly updateBatch: (rows: ReadonlyArray<MetadataRow>) => Effect.Effect<ReadonlyArray<AgentId>, StoreError>
    /** The metadata of one agent: the listed keys, or all of them when `keys` is absent or empty. In no order. */
    readonly read: (
      agentId: AgentId,
      keys?: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<AgentMetadata>, StoreError>
    /**
     * The metadata of several agents, each named once, with all their keys. An agent without metadata is absent from
     * the result.
     */
    readonly readMany: (
      agentIds: ReadonlyArray<AgentId>
    ) => Effect.Effect<ReadonlyMap<AgentId, ReadonlyArray<AgentMetadata>>, StoreError>
    /** Returns why no value can be written or read, or `undefined`. A store in the database of the service has none. */
    readonly problem?: Effect.Effect<string | undefined> | undefined
  }
>()("metadata-batcher/metadata/MetadataStore") {}

/** Returns a store that reads one agent after the other if it is not given `readMany`. */
export const make = (
  store: Pick<MetadataStore["Service"], "updateBatch" | "read"> & Partial<Pick<MetadataStore["Service"], "readMany">>
): MetadataStore["Service"] => ({
  readMany: (agentIds) =>
    Effect.map(
      Effect.forEach(agentIds, (agentId) => Effect.map(store.read(agentId), (rows) => [agentId, rows] as const)),
      (found) => new Map(found.filter(([, rows]) => rows.length > 0))
    ),
  ...store
})

/**
 * A store in this process's memory, for tests and for trying things out. It knows no declarations: a key exists from
 * its first sample on, displayed under its own name. A layer is built once per program: `Layer.fresh` makes another store.
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

  return make({
    updateBatch: (rows) => Effect.sync(() => [...new Set(rows.filter(write).map((row) => row.agentId))]),
    read: (agentId, keys = []) =>
      Effect.sync(() => {
        const all = [...(agents.get(agentId)?.values() ?? [])]
        return keys.length === 0 ? all : all.filter((metadata) => keys.includes(metadata.key))
      })
  })
})

const undeclared = (key: string) => ({
  displayName: key,
  key,
  script: "",
  interval: Duration.zero,
  timeout: Duration.zero,
  displayOrder: 0
})
