/** The port that looks up tokens and rights. Each operation serves many requests in one statement. */
import { Context, type Effect } from "effect"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { User } from "../domain/User.ts"
import type { TokenDigest } from "./Token.ts"

/** The agent or user that a token belongs to, with the stored digest of the token. */
export interface TokenMatch<A> {
  readonly subject: A
  readonly digest: TokenDigest
}

/** The workspace of an agent, and its owner. */
export interface Ownership {
  readonly agentId: AgentId
  readonly workspaceId: WorkspaceId
  readonly ownerId: UserId
}

export class AccessStore extends Context.Service<
  AccessStore,
  {
    /**
     * The agents with these tokens. An agent counts if neither the agent nor its workspace is deleted, and the agent
     * belongs to the latest build of the workspace, or to the build that started it while the latest build has yet to
     * stop it.
     */
    readonly agents: (
      digests: ReadonlyArray<TokenDigest>
    ) => Effect.Effect<ReadonlyArray<TokenMatch<AgentIdentity>>, StoreError>
    /** The users with these tokens, except deleted ones. */
    readonly users: (digests: ReadonlyArray<TokenDigest>) => Effect.Effect<ReadonlyArray<TokenMatch<User>>, StoreError>
    /** The ownership of these agents, except deleted ones and those of deleted workspaces. */
    readonly ownerships: (agentIds: ReadonlyArray<AgentId>) => Effect.Effect<ReadonlyArray<Ownership>, StoreError>
  }
>()("metadata-batcher/access/AccessStore") {}
