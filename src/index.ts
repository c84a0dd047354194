/**
 * Everything that needs `effect` alone, from what most applications want to what few do. The rest has paths of its own,
 * those of its files: `metadata-batcher/storage/…` and `metadata-batcher/pubsub/PgPubSub` for Postgres,
 * `metadata-batcher/Server` and `metadata-batcher/Config` for the service.
 */

// --- metadata of agents ---

/** The service: newest value of each agent and key, written in batches, announced once. */
export * as MetadataBatcher from "./metadata/MetadataBatcher.ts"

/** The port through which metadata is written and read, and a store in memory. */
export * as MetadataStore from "./metadata/MetadataStore.ts"

/** Announcements between replicas, and a pubsub in memory. */
export * as PubSub from "./pubsub/PubSub.ts"

/** Agent ids packed into announcements. */
export * as AgentIdChunks from "./metadata/AgentIdChunks.ts"

/** What the metadata batcher counts. */
export * as MetadataBatcherMetrics from "./metadata/MetadataBatcherMetrics.ts"

// --- updates of any kind ---

/** The generic coalescing actor. */
export * as Batcher from "./batcher/Batcher.ts"

/** How updates merge until they are written. */
export * as Accumulator from "./batcher/Accumulator.ts"

// --- use of workspaces ---

/** Remembers which workspaces were used, and writes that now and then. */
export * as UsageTracker from "./usage/UsageTracker.ts"

/** The port through which the last use of workspaces is written. */
export * as UsageStore from "./usage/UsageStore.ts"

// --- what all of them speak of ---

/** Identifiers of agents, workspaces and people. */
export * as Ids from "./domain/Ids.ts"

/** What agents report and people read. */
export * as Metadata from "./domain/Metadata.ts"
