/** The port through which tokens are looked up. */
import { Context, type Effect, type Option } from "effect"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { AgentId, UserId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import type { User } from "../domain/User.ts"
import type { TokenDigest } from "./Token.ts"

/** What a token was found to belong to, with the digest that is stored for it. */
export interface TokenMatch<A> {
  readonly subject: A
  readonly digest: TokenDigest
}

export class AccessStore extends Context.Service<
  AccessStore,
  {
    /**
     * The agent with this token, if neither it nor its workspace is deleted and it belongs to the latest build of the
     * workspace, or to the one that has started it while the latest is still about to stop it.
     */
    readonly agent: (digest: TokenDigest) => Effect.Effect<Option.Option<TokenMatch<AgentIdentity>>, StoreError>
    /** The user with this token, unless they are deleted. */
    readonly user: (digest: TokenDigest) => Effect.Effect<Option.Option<TokenMatch<User>>, StoreError>
    /** Who owns the workspace of an agent. */
    readonly ownerOf: (agentId: AgentId) => Effect.Effect<Option.Option<UserId>, StoreError>
  }
>()("metadata-batcher/access/AccessStore") {}
