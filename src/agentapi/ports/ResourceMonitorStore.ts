/** The port that stores the resource monitors of agents. */
import { Context, type DateTime, type Effect } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** Whether usage is below the threshold (`ok`) or not (`nok`). */
export type MonitorState = "ok" | "nok"

export interface Monitor {
  readonly enabled: boolean
  /** The share of the total at which a point becomes `nok`, in percent. */
  readonly threshold: number
  readonly state: MonitorState
  /** No notification is sent until this time. */
  readonly debouncedUntil: DateTime.Utc
}

export interface VolumeMonitor extends Monitor {
  readonly path: string
}

export interface Monitors {
  /** Null if memory is not monitored. */
  readonly memory: Monitor | null
  readonly volumes: ReadonlyArray<VolumeMonitor>
}

export class ResourceMonitorStore extends Context.Service<
  ResourceMonitorStore,
  {
    readonly load: (agentId: AgentId) => Effect.Effect<Monitors, StoreError>
    /** Writes the state of the memory monitor of an agent, and the time until which nobody is notified. */
    readonly putMemory: (agentId: AgentId, monitor: Monitor, at: DateTime.Utc) => Effect.Effect<void, StoreError>
    /** Does the same for volume monitors, all or none. */
    readonly putVolumes: (
      agentId: AgentId,
      monitors: ReadonlyArray<VolumeMonitor>,
      at: DateTime.Utc
    ) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/agentapi/ports/ResourceMonitorStore") {}
