/**
 * The vocabulary of metadata: the reports of agents, and the views of people.
 *
 * A template declares which keys an agent has ({@link MetadataDescription}); the agent reports samples of them
 * ({@link MetadataEntry}); a reader sees both together ({@link AgentMetadata}).
 *
 * @example
 * ```ts
 * import { DateTime } from "effect"
 * import { Metadata } from "metadata-batcher"
 *
 * const entry: Metadata.MetadataEntry = {
 *   key: "cpu",
 *   value: "12 %",
 *   error: "",
 *   collectedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z")
 * }
 * console.log(DateTime.isGreaterThan(entry.collectedAt, Metadata.zeroTime))
 * // Output:
 * // true
 * ```
 */
import { DateTime, type Duration } from "effect"
import type { AgentId } from "./Ids.ts"

/** One sample of one key. `value` and `error` may both be set: the last value and why a newer one is missing. */
export interface MetadataEntry {
  /** The name of the sample, unique for its agent. */
  readonly key: string
  /** The last value; an empty text if there is none. */
  readonly value: string
  /** Why there is no newer value; an empty text if there is one. */
  readonly error: string
  /** The time by which the newest sample wins. */
  readonly collectedAt: DateTime.Utc
}

/** A sample together with the agent it came from: what is batched and written. */
export interface MetadataRow extends MetadataEntry {
  /** The agent that reported the sample. */
  readonly agentId: AgentId
}

/** How a key is collected and shown. An interval of zero means that the agent collects it once. */
export interface MetadataDescription {
  /** The name that people see. */
  readonly displayName: string
  /** The name of the samples, unique for their agent. */
  readonly key: string
  /** The command that prints a value. */
  readonly script: string
  /** The time from one sample to the next. Zero: the agent takes one sample. */
  readonly interval: Duration.Duration
  /** The longest that the command may take. */
  readonly timeout: Duration.Duration
  /** The place among the keys of the agent, in ascending order. */
  readonly displayOrder: number
}

/** A declared key with its newest sample. `collectedAt` is {@link zeroTime} until the first one arrives. */
export interface AgentMetadata extends MetadataDescription {
  /** The last value; an empty text until the first sample arrives. */
  readonly value: string
  /** Why there is no newer value; an empty text if there is one. */
  readonly error: string
  /** The time of the newest sample, or {@link zeroTime}. */
  readonly collectedAt: DateTime.Utc
}

/** The time of a key that no agent has reported yet: the first instant of the year 1, as the original stores it. */
export const zeroTime = DateTime.makeUnsafe("0001-01-01T00:00:00Z")
