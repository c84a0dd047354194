/** The port through which people read the logs of agents, and their lifecycles. */
import { Context, type Effect, type Option, Schema } from "effect"
import * as AgentLifecycle from "../domain/AgentLifecycle.ts"
import type { AgentLog, LogId } from "../domain/AgentLog.ts"
import type { AgentId, UserId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

/** The state of an agent's startup, the time at which the startup began, and the time at which it ended. */
export const Lifecycle = Schema.Struct({
  state: Schema.Literals(AgentLifecycle.states),
  started_at: Schema.NullOr(Schema.DateTimeUtcFromString),
  ready_at: Schema.NullOr(Schema.DateTimeUtcFromString)
})
export type Lifecycle = typeof Lifecycle.Type

export class LogReader extends Context.Service<
  LogReader,
  {
    /** Returns the first `limit` lines of an agent after one of its lines. */
    readonly logs: (agentId: AgentId, after: LogId, limit: number) => Effect.Effect<ReadonlyArray<AgentLog>, StoreError>
    /** Returns the lifecycle and the owner of an agent, or none when the agent is deleted. */
    readonly agent: (
      agentId: AgentId
    ) => Effect.Effect<Option.Option<{ readonly ownerId: UserId; readonly lifecycle: Lifecycle }>, StoreError>
  }
>()("metadata-batcher/watch/LogReader") {}
