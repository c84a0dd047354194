/** The port that stores the log lines of agents. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type * as AgentLog from "../../domain/AgentLog.ts"
import type { AgentId, LogSourceId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** A line to store. */
export interface LogLine {
  readonly level: AgentLog.LogLevel
  readonly output: string
}

/** Lines of one source that were received at one time. */
export interface LogBatch {
  /** Null stands for an external program, whose source is created if it is missing. */
  readonly sourceId: LogSourceId | null
  readonly receivedAt: DateTime.Utc
  readonly lines: ReadonlyArray<LogLine>
}

/** The outcome of a batch. */
export interface Appended {
  /** The number of the first stored line, if any line was stored. */
  readonly firstId: Option.Option<AgentLog.LogId>
  /** Whether the agent had logged nothing before. */
  readonly isFirst: boolean
  readonly limit: "kept" | "crossed" | "crossed before"
}

/** A source of lines, with the name and the icon that people see. */
export interface LogSource {
  readonly id: LogSourceId
  readonly displayName: string
  readonly icon: string
}

export class LogStore extends Context.Service<
  LogStore,
  {
    /**
     * Stores as many lines as the limit of the agent allows, and records when the limit was crossed. Readers see
     * all of that or nothing. Lines of an agent become visible in the order of their numbers.
     */
    readonly append: (agentId: AgentId, batch: LogBatch) => Effect.Effect<Appended, StoreError>
    /** Stores a source unless its id exists, and returns when the stored source was created. */
    readonly addSource: (agentId: AgentId, source: LogSource) => Effect.Effect<DateTime.Utc, StoreError>
  }
>()("metadata-batcher/agentapi/ports/LogStore") {}
