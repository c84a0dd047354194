/** The port that reads and writes the apps of an agent. */
import { Context, type DateTime, type Effect, type Option } from "effect"
import type { AgentId, AppId, WorkspaceId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** The healths of an app. */
export const healths = ["disabled", "initializing", "healthy", "unhealthy"] as const
export type Health = (typeof healths)[number]

export interface AppHealth {
  readonly id: AppId
  readonly health: Health
}

/** The health of an app, as it is stored. */
export interface HealthOfApp {
  readonly id: AppId
  /** Normally one of {@link Health}. */
  readonly health: string
  /** Whether the app has a health check. */
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
  /** The previous state; null if this status is the first. */
  readonly previous: AppState | null
  /** Whether the agent has started successfully. */
  readonly isAgentReady: boolean
  /** The task of the workspace, if the app belongs to it. */
  readonly task: { readonly name: string } | null
}

export class AppStore extends Context.Service<
  AppStore,
  {
    readonly healths: (agentId: AgentId) => Effect.Effect<ReadonlyArray<HealthOfApp>, StoreError>
    /** Writes the healths of apps of one agent, all or none. Each app may occur once. */
    readonly setHealths: (agentId: AgentId, healths: ReadonlyArray<AppHealth>) => Effect.Effect<void, StoreError>
    /** Adds a status of an agent's app. Returns none if the agent has no app with this slug. */
    readonly addStatus: (
      agentId: AgentId,
      workspaceId: WorkspaceId,
      status: AppStatus
    ) => Effect.Effect<Option.Option<AddedStatus>, StoreError>
  }
>()("metadata-batcher/agentapi/ports/AppStore") {}
