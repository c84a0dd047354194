/**
 * Who is calling, and what they may see.
 *
 * - Without a valid token there is nothing to see.
 * - A user may read the agents of their own workspaces, an administrator all. To anyone else an agent does not exist.
 * - While tokens cannot be looked up, nobody is let in, and nobody is told that their token is wrong.
 */
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { Digest } from "effect/crypto"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { AgentId } from "../domain/Ids.ts"
import { mayRead, type User } from "../domain/User.ts"
import { AccessUnavailable, AgentNotFound, Unauthenticated } from "./AccessError.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { AccessStore, type TokenMatch } from "./AccessStore.ts"
import * as Token from "./Token.ts"

export class Access extends Context.Service<
  Access,
  {
    /** The agent that a token belongs to. */
    readonly agent: (token: Token.Token) => Effect.Effect<AgentIdentity, Unauthenticated | AccessUnavailable>
    /** The user that a token belongs to. */
    readonly user: (token: Token.Token) => Effect.Effect<User, Unauthenticated | AccessUnavailable>
    /** Succeeds if `user` may read `agentId`. */
    readonly mayRead: (user: User, agentId: AgentId) => Effect.Effect<void, AgentNotFound | AccessUnavailable>
  }
>()("metadata-batcher/access/Access") {}

export const make = Effect.gen(function* () {
  const store = yield* AccessStore
  const digest = yield* Digest.Digest

  const lookup = <A>(found: Effect.Effect<A, StoreError>) =>
    found.pipe(
      Effect.tapError((error) => Effect.logError(error.message, error.cause)),
      Effect.mapError(() => new AccessUnavailable({ message: "tokens cannot be looked up now" }))
    )

  const identify = Effect.fnUntraced(function* <A>(
    token: Token.Token,
    find: (digest: Token.TokenDigest) => Effect.Effect<Option.Option<TokenMatch<A>>, StoreError>
  ) {
    if (Redacted.value(token) === "") return yield* unauthenticated
    const shown = yield* Effect.provideService(Token.digest(token), Digest.Digest, digest)
    const found = yield* lookup(find(shown))
    if (Option.isNone(found) || !Token.isSame(found.value.digest, shown)) return yield* unauthenticated
    return found.value.subject
  })

  return Access.of({
    agent: (token) => identify(token, store.agent),
    user: (token) => identify(token, store.user),
    mayRead: Effect.fnUntraced(function* (user, agentId) {
      const owner = yield* lookup(store.ownerOf(agentId))
      if (Option.isSome(owner) && mayRead(user, owner.value)) return
      return yield* new AgentNotFound({ message: `there is no agent ${agentId}` })
    })
  })
})

export const layer: Layer.Layer<Access, never, AccessStore | Digest.Digest> = Layer.effect(Access, make)

const unauthenticated = new Unauthenticated({
  message: `a valid token is required, in the header ${Token.header} or as a bearer token`
})
