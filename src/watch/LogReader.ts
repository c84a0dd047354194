/** The port through which people read what agents log, and how far agents have come. */
import { Context, type Effect, type Option, Schema } from "effect"
import * as AgentLifecycle from "../domain/AgentLifecycle.ts"
import type { AgentLog, LogId } from "../domain/AgentLog.ts"
import type { AgentId, UserId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** How far an agent has come: the state it is in, when it began to start, when it had. */
export const Lifecycle = Schema.Struct({
  state: Schema.Literals(AgentLifecycle.states),
  started_at: Schema.NullOr(Schema.DateTimeUtcFromString),
  ready_at: Schema.NullOr(Schema.DateTimeUtcFromString)
})
export type Lifecycle = typeof Lifecycle.Type

export class LogReader extends Context.Service<
  LogReader,
  {
    /** The first `limit` lines of an agent that come after one of its lines. */
    readonly logs: (agentId: AgentId, after: LogId, limit: number) => Effect.Effect<ReadonlyArray<AgentLog>, StoreError>
    /** How far an agent has come, and who owns it, unless it is gone. */
    readonly agent: (
      agentId: AgentId
    ) => Effect.Effect<Option.Option<{ readonly ownerId: UserId; readonly lifecycle: Lifecycle }>, StoreError>
  }
>()("metadata-batcher/watch/LogReader") {}
