/** The port that stores the runs of scripts. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId, ScriptId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** The stages in which a script runs. */
export const scriptStages = ["start", "stop", "cron"] as const

/** How a run ended. */
export const scriptStatuses = ["ok", "exit_failure", "timed_out", "pipes_left_open"] as const

/** One run of a script. */
export interface ScriptTiming {
  readonly scriptId: ScriptId
  readonly startedAt: DateTime.Utc
  readonly endedAt: DateTime.Utc
  readonly exitCode: number
  readonly stage: (typeof scriptStages)[number]
  readonly status: (typeof scriptStatuses)[number]
}

export class ScriptStore extends Context.Service<
  ScriptStore,
  {
    /** Stores a run of one of the agent's scripts. Returns whether the agent has the script. */
    readonly addTiming: (agentId: AgentId, timing: ScriptTiming) => Effect.Effect<boolean, StoreError>
  }
>()("metadata-batcher/agentapi/ports/ScriptStore") {}
