/** The port that stores the lifecycle states of agents, and their versions and subsystems. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type * as AgentLifecycle from "../../domain/AgentLifecycle.ts"
import type { AgentId, BuildId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

export interface LifecycleChange {
  readonly state: AgentLifecycle.State
  readonly changedAt: DateTime.Utc
  /** The change of the agent's start time. `set` sets it to the time of the change. */
  readonly startedAt: "keep" | "set" | "set if missing"
  readonly readyAt: "keep" | "set" | "clear"
}

/** The properties that an agent reports about itself at its startup. */
export interface Startup {
  readonly version: string
  readonly apiVersion: string
  readonly expandedDirectory: string
  readonly subsystems: ReadonlyArray<string>
}

/** A build all of whose agents have ended their startup. */
export interface StartedBuild {
  readonly createdAt: DateTime.Utc
  /** The time at which the last of its agents was ready. */
  readonly readyAt: DateTime.Utc
  readonly templateName: string
  readonly organizationName: string
  readonly transition: "start" | "stop" | "delete"
  /** The worst outcome of an agent. */
  readonly status: "success" | "timeout" | "error"
  readonly isPrebuild: boolean
}

export class LifecycleStore extends Context.Service<
  LifecycleStore,
  {
    readonly change: (agentId: AgentId, change: LifecycleChange) => Effect.Effect<void, StoreError>
    /**
     * Records that all agents of a build have ended their startup, if they have. Returns the build to the one caller,
     * over all replicas, that recorded it. Sub-agents do not count, because they are created and deleted later.
     */
    readonly completeStartup: (buildId: BuildId) => Effect.Effect<Option.Option<StartedBuild>, StoreError>
    readonly introduce: (agentId: AgentId, startup: Startup) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/LifecycleStore") {}
