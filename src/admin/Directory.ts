/**
 * The port that stores users, workspaces and agents.
 *
 * Tokens are stored as digests only. Names are unique, where an error says so, among everything that is not deleted.
 */
import { Context, type Effect, Schema } from "effect"
import type { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import type { TokenDigest } from "../access/Token.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import type { MetadataDescription } from "../domain/Metadata.ts"
import type { User } from "../domain/User.ts"

const fields = { message: Schema.String }

/** There is no user of this name. */
export class UserNotFound extends Schema.TaggedError<UserNotFound>()("UserNotFound", fields, { httpApiStatus: 404 }) {}

/** The name is taken already. */
export class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", fields, { httpApiStatus: 409 }) {}

export interface Workspace {
  readonly id: WorkspaceId
  readonly name: string
  readonly owner: string
  readonly agents: number
}

export interface NewAgent {
  readonly name: string
  readonly token: TokenDigest
  readonly metadata: ReadonlyArray<MetadataDescription>
}

export interface Agent {
  readonly id: AgentId
  readonly name: string
  readonly metadata: ReadonlyArray<MetadataDescription>
}

/**
 * A token of a user. A new token replaces the one of the same name. A token belongs to the user and the name that it was
 * given last.
 */
export interface NewToken {
  readonly username: string
  readonly name: string
  readonly token: TokenDigest
}

export class Directory extends Context.Service<
  Directory,
  {
    readonly users: Effect.Effect<ReadonlyArray<User>, DirectoryUnavailable>
    /** Names of users are unique. */
    readonly createUser: (user: {
      readonly username: string
      readonly isAdmin: boolean
    }) => Effect.Effect<User, NameTaken | DirectoryUnavailable>
    readonly putToken: (token: NewToken) => Effect.Effect<void, UserNotFound | DirectoryUnavailable>
    readonly workspaces: Effect.Effect<ReadonlyArray<Workspace>, DirectoryUnavailable>
    /** Names of workspaces are unique for their owner. The workspace has a first build, which has succeeded. */
    readonly createWorkspace: (workspace: {
      readonly name: string
      readonly owner: string
    }) => Effect.Effect<Workspace, UserNotFound | NameTaken | DirectoryUnavailable>
    readonly agents: (
      workspaceId: WorkspaceId
    ) => Effect.Effect<ReadonlyArray<Agent>, WorkspaceNotFound | DirectoryUnavailable>
    /** Adds agents to the latest build of a workspace, all or none. Names of agents are unique in their build. */
    readonly createAgents: (
      workspaceId: WorkspaceId,
      agents: ReadonlyArray<NewAgent>
    ) => Effect.Effect<ReadonlyArray<Agent>, WorkspaceNotFound | NameTaken | DirectoryUnavailable>
    /** Replaces the token of an agent. */
    readonly rotateToken: (
      agentId: AgentId,
      token: TokenDigest
    ) => Effect.Effect<void, AgentNotFound | DirectoryUnavailable>
  }
>()("metadata-batcher/admin/Directory") {}
