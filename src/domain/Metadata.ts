/**
 * The vocabulary of metadata: the reports of agents, and the views of people.
 *
 * A template declares which keys an agent has ({@link MetadataDescription}); the agent reports samples of them
 * ({@link MetadataEntry}); a reader sees both together ({@link AgentMetadata}).
 */
import { DateTime, type Duration } from "effect"
import type { AgentId } from "./Ids.ts"

/** One sample of one key. `value` and `error` may both be set: the last value and why a newer one is missing. */
export interface MetadataEntry {
  readonly key: string
  readonly value: string
  readonly error: string
  readonly collectedAt: DateTime.Utc
}

/** A sample together with the agent it came from: what is batched and written. */
export interface MetadataRow extends MetadataEntry {
  readonly agentId: AgentId
}

/** How a key is collected and shown. An interval of zero means that the agent collects it once. */
export interface MetadataDescription {
  readonly displayName: string
  readonly key: string
  readonly script: string
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  readonly displayOrder: number
}

/** A declared key with its newest sample. `collectedAt` is {@link zeroTime} until the first one arrives. */
export interface AgentMetadata extends MetadataDescription {
  readonly value: string
  readonly error: string
  readonly collectedAt: DateTime.Utc
}

/** The time of a key that no agent has reported yet: the first instant of the year 1, as the original stores it. */
export const zeroTime = DateTime.makeUnsafe("0001-01-01T00:00:00Z")
