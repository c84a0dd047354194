/**
 * Everything that needs `effect` alone, from the most used to the least. Each module has a path of its own as well, such
 * as `metadata-batcher/MetadataBatcher`, beside those that need more: `PgMetadataStore`, `PgPubSub`, `Server` and the
 * rest of `exports` in `package.json`.
 *
 * @example
 * ```ts
 * import { Console, DateTime, Effect, Layer } from "effect"
 * import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 *
 * const program = Effect.gen(function* () {
 *   const batcher = yield* MetadataBatcher.MetadataBatcher
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 *   yield* batcher.flush // or wait: five seconds, or 500 entries
 *   const store = yield* MetadataStore.MetadataStore
 *   yield* Console.log((yield* store.read(agent)).map(({ key, value }) => `${key} ${value}`))
 * })
 *
 * const Memory = Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory)
 * await Effect.runPromise(Effect.provide(program, Layer.provideMerge(MetadataBatcher.layer(), Memory)))
 * // Output:
 * // [ 'cpu 12 %' ]
 * ```
 */

// --- metadata of agents ---

/** The metadata batcher: newest value of each agent and key, written in batches, announced once. */
export * as MetadataBatcher from "./metadata/MetadataBatcher.ts"

/** The port through which metadata is written and read, and a store in memory. */
export * as MetadataStore from "./metadata/MetadataStore.ts"

/** Announcements between replicas, and a pubsub in memory. */
export * as PubSub from "./pubsub/PubSub.ts"

/** Agent ids packed into announcements. */
export * as AgentIdChunks from "./metadata/AgentIdChunks.ts"

/** Metrics of the metadata batcher. */
export * as MetadataBatcherMetrics from "./metadata/MetadataBatcherMetrics.ts"

// --- updates of any kind ---

/** The generic batcher. */
export * as Batcher from "./batcher/Batcher.ts"

/** Metrics of a batcher, under a prefix of its own. */
export * as BatcherMetrics from "./batcher/BatcherMetrics.ts"

/** The rules by which pending updates merge. */
export * as Accumulator from "./batcher/Accumulator.ts"

// --- use of workspaces ---

/** Collects the workspaces that are used, and writes their last use once a minute. */
export * as UsageTracker from "./usage/UsageTracker.ts"

/** The port through which the last use of workspaces is written. */
export * as UsageStore from "./usage/UsageStore.ts"

// --- vocabulary ---

/** Identifiers of agents, workspaces and people. */
export * as Ids from "./domain/Ids.ts"

/** Agent ids without Schema. */
export * as PlainIds from "./domain/PlainIds.ts"

/** Entries, rows and views of metadata. */
export * as Metadata from "./domain/Metadata.ts"

/** The error with which every store fails. */
export * as StoreError from "./domain/StoreError.ts"
