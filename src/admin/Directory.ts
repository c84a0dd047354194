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

/** An agent that is to be created. */
export interface NewAgent {
  /** Its name, unique in its build. */
  readonly name: string
  /** The digest of its token. */
  readonly token: TokenDigest
  /** The declarations of its keys. */
  readonly metadata: ReadonlyArray<MetadataDescription>
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
    /** Stores a token of a user, which replaces the one of the same name. */
    readonly putToken: (token: NewToken) => Effect.Effect<void, UserNotFound | DirectoryUnavailable>
    /** All workspaces. */
    readonly workspaces: Effect.Effect<ReadonlyArray<Workspace>, DirectoryUnavailable>
    /** Names of workspaces are unique for their owner. The workspace has a first build, which has succeeded. */
    readonly createWorkspace: (workspace: {
      readonly name: string
      readonly owner: string
    }) => Effect.Effect<Workspace, UserNotFound | NameTaken | DirectoryUnavailable>
    /** Returns the agents of the latest build of a workspace. */
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
