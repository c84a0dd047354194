/**
 * The port that stores users, workspaces and agents.
 *
 * Tokens are stored as digests only. Names are unique, where an error says so, among everything that is not deleted.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import * as Config from "metadata-batcher/Config"
 * import { Directory } from "metadata-batcher/Directory"
 * import * as Server from "metadata-batcher/Server"
 *
 * const Service = Layer.unwrap(Effect.map(Config.read(), (settings) => Server.layer(settings))).pipe(
 *   Layer.provide(HttpRouter.layer)
 * )
 * const program = Directory.use(({ createUser }) => createUser({ username: "ada", isAdmin: false })).pipe(
 *   Effect.flatMap(({ username }) => Console.log(username)),
 *   Effect.catchTag("NameTaken", ({ message }) => Console.log(message))
 * )
 * await Effect.runPromise(Effect.provide(program, Service))
 * // Output:
 * // ada
 * ```
 */
import { Context, type DateTime, type Duration, type Effect, Schema } from "effect"
import type { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import type { TokenDigest } from "../access/Token.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import type { MetadataDescription } from "../domain/Metadata.ts"
import type { User } from "../domain/User.ts"
import * as ErrorResponse from "../platform/ErrorResponse.ts"
import type { AppDeclaration, MonitorsDeclaration, ScriptDeclaration } from "./AgentDeclaration.ts"
import type { SecretContent, SecretSummary } from "./UserSecret.ts"

const fields = { message: Schema.String }

/** There is no user of this name. */
export class UserNotFound extends Schema.TaggedError<UserNotFound>()("UserNotFound", fields, { httpApiStatus: 404 }) {}

/** The user has no token of this name. */
export class TokenNotFound extends Schema.TaggedError<TokenNotFound>()("TokenNotFound", fields, {
  httpApiStatus: 404
}) {}

/** The user has no secret of this name. */
export class SecretNotFound extends Schema.TaggedError<SecretNotFound>()("SecretNotFound", fields, {
  httpApiStatus: 404
}) {}

/** With this secret the user would have too many, or too many bytes of them. */
export class TooManySecrets extends Schema.TaggedError<TooManySecrets>()("TooManySecrets", ErrorResponse.fields, {
  httpApiStatus: 400
}) {}

/** The user is needed: it owns workspaces, or is the first administrator. */
export class UserNeeded extends Schema.TaggedError<UserNeeded>()("UserNeeded", fields, { httpApiStatus: 409 }) {}

/** The name is taken already. */
export class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", fields, { httpApiStatus: 409 }) {}

/** A workspace. */
export interface Workspace {
  /** Its id, which the directory assigned. */
  readonly id: WorkspaceId
  /** Its name, unique for its owner. */
  readonly name: string
  /** The name of its owner. */
  readonly owner: string
  /** How many agents its latest build has. */
  readonly agents: number
}

/** Everything that is declared of an agent. */
export interface Declarations {
  /** The keys that it reports. */
  readonly metadata: ReadonlyArray<MetadataDescription>
  /** The programs that it runs for people. */
  readonly apps: ReadonlyArray<AppDeclaration>
  /** The scripts that it runs. */
  readonly scripts: ReadonlyArray<ScriptDeclaration>
  /** The monitors of its resources. */
  readonly monitors: MonitorsDeclaration
}

/** An agent that is to be created. Kinds of declarations that are left out are empty. */
export interface NewAgent extends Change<Declarations> {
  /** Its name, unique in its build. */
  readonly name: string
  /** The digest of its token. */
  readonly token: TokenDigest
}

/** An agent of a workspace. */
export interface Agent {
  /** Its id, which the directory assigned. */
  readonly id: AgentId
  /** Its name, unique in its build. */
  readonly name: string
  /** The declarations of its keys. */
  readonly metadata: ReadonlyArray<MetadataDescription>
}

/** An agent with everything that is declared of it. */
export interface AgentDetails extends Agent, Declarations {
  /** The workspace that it belongs to. */
  readonly workspace: WorkspaceId
}

/** A token without its secret. */
export interface TokenSummary {
  /** Its name, unique for its user. */
  readonly name: string
  /** The time at which it was given to the user. */
  readonly createdAt: DateTime.Utc
  /** The time at which it ends. Null if it never expires. */
  readonly expiresAt: DateTime.Utc | null
  /** The time of its last use, accurate to five minutes. Null if it was never used. */
  readonly lastUsedAt: DateTime.Utc | null
}

/** A change; what is undefined stays as it is. */
export type Change<A> = { readonly [Field in keyof A]?: A[Field] | undefined }

/**
 * A token of a user. A new token replaces the one of the same name. A token belongs to the user and the name that it was
 * given last.
 */
export interface NewToken {
  /** The user that the token belongs to. */
  readonly username: string
  /** The name of the token, unique for its user. */
  readonly name: string
  /** The digest of the token. */
  readonly token: TokenDigest
  /** The time after which it is no longer valid. Default: never. */
  readonly lifetime?: Duration.Duration | undefined
  /** The name and the lifetime that the token of the same name gets. Default: it is no longer valid. */
  readonly predecessor?: { readonly name: string; readonly lifetime: Duration.Duration } | undefined
}

/** The directory as a service. */
export class Directory extends Context.Service<
  Directory,
  {
    /** All users. */
    readonly users: Effect.Effect<ReadonlyArray<User>, DirectoryUnavailable>
    /** Names of users are unique. */
    readonly createUser: (user: {
      readonly username: string
      readonly isAdmin: boolean
    }) => Effect.Effect<User, NameTaken | DirectoryUnavailable>
    /** Returns the user of a name. */
    readonly user: (username: string) => Effect.Effect<User, UserNotFound | DirectoryUnavailable>
    /** Renames a user, or changes whether the user is an administrator. */
    readonly updateUser: (
      username: string,
      change: Change<Pick<User, "username" | "isAdmin">>
    ) => Effect.Effect<User, UserNotFound | UserNeeded | NameTaken | DirectoryUnavailable>
    /** Deletes a user with its tokens and its secrets. */
    readonly deleteUser: (username: string) => Effect.Effect<void, UserNotFound | UserNeeded | DirectoryUnavailable>
    /** Returns the tokens of a user. */
    readonly tokens: (
      username: string
    ) => Effect.Effect<ReadonlyArray<TokenSummary>, UserNotFound | DirectoryUnavailable>
    /** Revokes a token; connections that it opened end at once. */
    readonly revokeToken: (
      username: string,
      name: string
    ) => Effect.Effect<void, UserNotFound | TokenNotFound | DirectoryUnavailable>
    /** Stores a token of a user, which replaces the one of the same name. */
    readonly putToken: (token: NewToken) => Effect.Effect<void, UserNotFound | DirectoryUnavailable>
    /** Returns the secrets of a user, without their values. */
    readonly secrets: (
      username: string
    ) => Effect.Effect<ReadonlyArray<SecretSummary>, UserNotFound | DirectoryUnavailable>
    /**
     * Stores a secret of a user, which replaces the one of the same name. Two secrets of a user have neither a variable nor a
     * file in common. Agents learn of it when they connect next.
     */
    readonly putSecret: (
      username: string,
      name: string,
      content: SecretContent
    ) => Effect.Effect<SecretSummary, UserNotFound | TooManySecrets | NameTaken | DirectoryUnavailable>
    /** Deletes a secret of a user. */
    readonly deleteSecret: (
      username: string,
      name: string
    ) => Effect.Effect<void, UserNotFound | SecretNotFound | DirectoryUnavailable>
    /** All workspaces. */
    readonly workspaces: Effect.Effect<ReadonlyArray<Workspace>, DirectoryUnavailable>
    /** Names of workspaces are unique for their owner. The workspace has a first build, which has succeeded. */
    readonly createWorkspace: (workspace: {
      readonly name: string
      readonly owner: string
    }) => Effect.Effect<Workspace, UserNotFound | NameTaken | DirectoryUnavailable>
    /** Returns a workspace. */
    readonly workspace: (workspaceId: WorkspaceId) => Effect.Effect<Workspace, WorkspaceNotFound | DirectoryUnavailable>
    /** Renames a workspace, or gives it to another user. */
    readonly updateWorkspace: (
      workspaceId: WorkspaceId,
      change: Change<Pick<Workspace, "name" | "owner">>
    ) => Effect.Effect<Workspace, WorkspaceNotFound | UserNotFound | NameTaken | DirectoryUnavailable>
    /** Deletes a workspace with its agents. */
    readonly deleteWorkspace: (
      workspaceId: WorkspaceId
    ) => Effect.Effect<void, WorkspaceNotFound | DirectoryUnavailable>
    /** Returns the agents of the latest build of a workspace. */
    readonly agents: (
      workspaceId: WorkspaceId
    ) => Effect.Effect<ReadonlyArray<Agent>, WorkspaceNotFound | DirectoryUnavailable>
    /** Adds agents to the latest build of a workspace, all or none. Names of agents are unique in their build. */
    readonly createAgents: (
      workspaceId: WorkspaceId,
      agents: ReadonlyArray<NewAgent>
    ) => Effect.Effect<ReadonlyArray<Agent>, WorkspaceNotFound | NameTaken | DirectoryUnavailable>
    /** Returns an agent with everything that is declared of it. */
    readonly agent: (agentId: AgentId) => Effect.Effect<AgentDetails, AgentNotFound | DirectoryUnavailable>
    /** Renames an agent, or replaces a kind of its declarations. Apps and scripts of the same name keep their ids. */
    readonly updateAgent: (
      agentId: AgentId,
      change: Change<Declarations & Pick<Agent, "name">>
    ) => Effect.Effect<AgentDetails, AgentNotFound | NameTaken | DirectoryUnavailable>
    /** Deletes an agent with its sub-agents. */
    readonly deleteAgent: (agentId: AgentId) => Effect.Effect<void, AgentNotFound | DirectoryUnavailable>
    /** Replaces the token of an agent. */
    readonly rotateToken: (
      agentId: AgentId,
      token: TokenDigest
    ) => Effect.Effect<void, AgentNotFound | DirectoryUnavailable>
  }
>()("metadata-batcher/admin/Directory") {}
