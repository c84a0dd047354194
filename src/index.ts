/** Everything that needs `effect` alone; the rest has paths of its own, `metadata-batcher/storage/…` for one. */

/** How updates merge until they are written. */
export * as Accumulator from "./batcher/Accumulator.ts"

/** Agent ids packed into notifications. */
export * as AgentIdChunks from "./batcher/AgentIdChunks.ts"

/** The generic coalescing actor. */
export * as Batcher from "./batcher/Batcher.ts"

/** Identifiers of agents, workspaces and people. */
export * as Ids from "./domain/Ids.ts"

/** What agents report and people read. */
export * as Metadata from "./domain/Metadata.ts"

/** The service: newest value of each agent and key, written in batches, announced once. */
export * as MetadataBatcher from "./batcher/MetadataBatcher.ts"

/** What the metadata batcher counts. */
export * as MetadataBatcherMetrics from "./batcher/MetadataBatcherMetrics.ts"

/** The port through which metadata is written and read, and a store in memory. */
export * as MetadataStore from "./batcher/MetadataStore.ts"

/** Announcements between replicas, and a pubsub in memory. */
export * as PubSub from "./pubsub/PubSub.ts"

/** The port through which the last use of workspaces is written. */
export * as UsageStore from "./usage/UsageStore.ts"

/** Remembers which workspaces were used, and writes that now and then. */
export * as UsageTracker from "./usage/UsageTracker.ts"
