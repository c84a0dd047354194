/** The port through which tokens are looked up. */
import { Context, type Effect, type Option, Schema } from "effect"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { AgentId, UserId } from "../domain/Ids.ts"
import type { User } from "../domain/User.ts"
import type { TokenDigest } from "./Token.ts"

/** The lookup itself failed; nothing is known about the token. */
export class AccessStoreError extends Schema.TaggedError<AccessStoreError>()("AccessStoreError", {
  cause: Schema.Defect()
}) {
  override get message() {
    return "tokens cannot be looked up now"
  }
}

/** What a token was found to belong to, with the digest that is stored for it. */
export interface Found<A> {
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
    readonly agent: (digest: TokenDigest) => Effect.Effect<Option.Option<Found<AgentIdentity>>, AccessStoreError>
    /** The user with this token, unless they are deleted. */
    readonly user: (digest: TokenDigest) => Effect.Effect<Option.Option<Found<User>>, AccessStoreError>
    /** Who owns the workspace of an agent. */
    readonly ownerOf: (agentId: AgentId) => Effect.Effect<Option.Option<UserId>, AccessStoreError>
  }
>()("metadata-batcher/access/AccessStore") {}
