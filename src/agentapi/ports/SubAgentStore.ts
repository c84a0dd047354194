/** The port that stores sub-agents. A sub-agent is an agent with a parent; deleted ones do not count. */
import { Context, type Effect, type Option } from "effect"
import type * as Token from "../../access/Token.ts"
import type { AgentId, TemplateId } from "../../domain/Ids.ts"
import type { StoreError } from "../../domain/StoreError.ts"

/** The audiences of an app, from the smallest to the largest. */
export const sharingLevels = ["owner", "organization", "authenticated", "public"] as const
export type SharingLevel = (typeof sharingLevels)[number]

/** An app as it is stored. */
export interface App {
  readonly slug: string
  readonly command: string
  readonly displayName: string
  readonly displayGroup: string
  readonly displayOrder: number
  readonly external: boolean
  readonly hidden: boolean
  readonly icon: string
  readonly openIn: "slim-window" | "tab"
  readonly sharingLevel: SharingLevel
  readonly subdomain: boolean
  readonly url: string
  readonly healthcheckUrl: string
  readonly healthcheckInterval: number
  readonly healthcheckThreshold: number
  readonly health: "disabled" | "initializing"
}

/** An agent and the stored digest of its token. */
export interface AgentToken {
  readonly id: AgentId
  readonly digest: Token.TokenDigest
}

export interface SubAgent extends AgentToken {
  readonly name: string
}

export interface NewSubAgent extends SubAgent {
  readonly directory: string
  readonly architecture: string
  readonly operatingSystem: string
  readonly displayApps: ReadonlyArray<string>
}

export class SubAgentStore extends Context.Service<
  SubAgentStore,
  {
    /**
     * Creates a child, unless its name is taken within the build, the parent has a new token or is deleted, or there are
     * `maxSubAgents` already. All count that are below the same agent without a parent.
     */
    readonly create: (
      parent: AgentToken,
      child: NewSubAgent,
      maxSubAgents: number
    ) => Effect.Effect<"created" | "name taken" | "too many" | "token replaced", StoreError>
    /** Replaces the display apps of a child, and its directory unless the new one is empty. */
    readonly change: (
      parentId: AgentId,
      child: Pick<NewSubAgent, "id" | "directory" | "displayApps">
    ) => Effect.Effect<Option.Option<SubAgent>, StoreError>
    /** The children of an agent, the oldest first. */
    readonly children: (parentId: AgentId) => Effect.Effect<ReadonlyArray<SubAgent>, StoreError>
    /** Replaces the tokens of children. Returns false, and replaces none, if the parent itself has a new token. */
    readonly rotateTokens: (
      parent: AgentToken,
      children: ReadonlyArray<AgentToken>
    ) => Effect.Effect<boolean, StoreError>
    /** Deletes a child with its own children. Returns whether the agent had this child. */
    readonly remove: (parentId: AgentId, id: AgentId) => Effect.Effect<boolean, StoreError>
    /**
     * Creates the apps of an agent, or changes existing ones. Returns the slugs of those that were not created, because
     * the agent would have more than `maxApps`.
     */
    readonly putApps: (
      agentId: AgentId,
      apps: ReadonlyArray<App>,
      maxApps: number
    ) => Effect.Effect<ReadonlyArray<string>, StoreError>
    /** Returns the widest sharing level of an app that a template allows. */
    readonly maxSharingLevel: (templateId: TemplateId) => Effect.Effect<SharingLevel, StoreError>
  }
>()("metadata-batcher/agentapi/ports/SubAgentStore") {}
