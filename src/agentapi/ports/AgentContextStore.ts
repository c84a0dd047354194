/** The port that keeps the newest snapshot of the context of each agent. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type { Snapshot } from "../../domain/AgentContext.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

export interface StoredSnapshot extends Snapshot {
  readonly received_at: DateTime.Utc
}

export class AgentContextStore extends Context.Service<
  AgentContextStore,
  {
    /**
     * Replaces the snapshot of an agent, and returns whether it did. A version that is not newer than the stored one
     * replaces it only as the `initial` one of a run.
     */
    readonly replace: (
      agentId: AgentId,
      snapshot: StoredSnapshot,
      options: { readonly initial: boolean }
    ) => Effect.Effect<boolean, StoreError>
    /** Returns the snapshot of an agent, or none if the agent has sent none. */
    readonly find: (agentId: AgentId) => Effect.Effect<Option.Option<StoredSnapshot>, StoreError>
  }
>()("metadata-batcher/agentapi/ports/AgentContextStore") {}
