/** The port that stores the resource monitors of agents. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** Whether what is watched is well. */
export type MonitorState = "ok" | "nok"

export interface Monitor {
  readonly enabled: boolean
  /** The share of the total from which on it is not well, in percent. */
  readonly threshold: number
  readonly state: MonitorState
  /** Until when nobody is told. */
  readonly debouncedUntil: DateTime.Utc
}

export interface VolumeMonitor extends Monitor {
  readonly path: string
}

export interface Monitors {
  /** Null where memory is not watched. */
  readonly memory: Monitor | null
  readonly volumes: ReadonlyArray<VolumeMonitor>
}

export class ResourceMonitorStore extends Context.Service<
  ResourceMonitorStore,
  {
    readonly load: (agentId: AgentId) => Effect.Effect<Monitors, StoreError>
    /** Writes the state of what watches the memory of an agent, and until when nobody is told of it. */
    readonly putMemory: (agentId: AgentId, monitor: Monitor, at: DateTime.Utc) => Effect.Effect<void, StoreError>
    /** The same for volumes, all or none. */
    readonly putVolumes: (
      agentId: AgentId,
      monitors: ReadonlyArray<VolumeMonitor>,
      at: DateTime.Utc
    ) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/ResourceMonitorStore") {}
