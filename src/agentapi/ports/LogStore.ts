/** The port that stores what agents log. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type * as AgentLog from "../../domain/AgentLog.ts"
import type { AgentId, LogSourceId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** A line as it is to be stored. */
export interface LogLine {
  readonly level: AgentLog.LogLevel
  readonly output: string
}

/** Lines of one source that were received at one time. */
export interface LogBatch {
  /** Null stands for a program outside, whose source comes to be when it is missing. */
  readonly sourceId: LogSourceId | null
  readonly receivedAt: DateTime.Utc
  readonly lines: ReadonlyArray<LogLine>
}

/** The outcome of a batch. */
export interface Appended {
  /** The number of the first line that was stored, if one was. */
  readonly firstId: Option.Option<AgentLog.LogId>
  /** Whether the agent had logged nothing before. */
  readonly isFirst: boolean
  readonly limit: "kept" | "crossed" | "crossed before"
}

/** Where lines come from, as people read it. */
export interface LogSource {
  readonly id: LogSourceId
  readonly displayName: string
  readonly icon: string
}

export class LogStore extends Context.Service<
  LogStore,
  {
    /**
     * Stores as many lines as an agent may have, and notes when it were too many. Nothing of that is visible without the
     * rest. Lines of an agent become visible in the order of their numbers.
     */
    readonly append: (agentId: AgentId, batch: LogBatch) => Effect.Effect<Appended, StoreError>
    /** Stores a source, unless there is one with its id, and returns when the stored one came to be. */
    readonly addSource: (agentId: AgentId, source: LogSource) => Effect.Effect<DateTime.Utc, StoreError>
  }
>()("metadata-batcher/agentapi/ports/LogStore") {}
