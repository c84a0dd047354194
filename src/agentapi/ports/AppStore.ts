/** The port through which an agent's apps are read and written. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type { AgentId, AppId, WorkspaceId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** How an app may be. */
export const healths = ["disabled", "initializing", "healthy", "unhealthy"] as const
export type Health = (typeof healths)[number]

export interface AppHealth {
  readonly id: AppId
  readonly health: Health
}

/** An app as far as its health goes. */
export interface HealthOfApp {
  readonly id: AppId
  /** As it is stored: one of {@link Health}, if all is well. */
  readonly health: string
  /** Whether anybody is to look whether it is well. */
  readonly isChecked: boolean
}

/** The states of an app. */
export const appStates = ["working", "idle", "complete", "failure"] as const
export type AppState = (typeof appStates)[number]

/** The status that an app reports. */
export interface AppStatus {
  readonly slug: string
  readonly state: AppState
  readonly message: string
  readonly uri: string | null
  readonly createdAt: DateTime.Utc
}

/** The app to which a status was added. */
export interface AddedStatus {
  readonly appId: AppId
  /** The state before, if this was not the first. */
  readonly previous: AppState | null
  /** Whether the agent has started well. */
  readonly isAgentReady: boolean
  /** The task, if the app is that of its workspace's task. */
  readonly task: { readonly name: string } | null
}

export class AppStore extends Context.Service<
  AppStore,
  {
    readonly healths: (agentId: AgentId) => Effect.Effect<ReadonlyArray<HealthOfApp>, StoreError>
    /** Writes the healths of apps of one agent, all of them or none. Each app is there once. */
    readonly setHealths: (agentId: AgentId, healths: ReadonlyArray<AppHealth>) => Effect.Effect<void, StoreError>
    /** Adds a status of an agent's app. None where the agent has no app of this slug. */
    readonly addStatus: (
      agentId: AgentId,
      workspaceId: WorkspaceId,
      status: AppStatus
    ) => Effect.Effect<Option.Option<AddedStatus>, StoreError>
  }
>()("metadata-batcher/agentapi/ports/AppStore") {}
