/**
 * Identifies callers by their tokens, and decides which agents they may read.
 *
 * - A user may read the agents of their own workspaces, an administrator all. To anyone else an agent does not exist.
 * - While tokens cannot be looked up, nobody is let in, and nobody is told that their token is wrong.
 * - Look-ups that arrive together are one statement: a fleet that reconnects needs few statements, and one connection.
 * - A token that was not found is not looked up again for a second.
 */
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { Digest } from "effect/crypto"
import { Hex } from "effect/encoding"
import * as RequestCoalescer from "../batcher/RequestCoalescer.ts"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { AgentId } from "../domain/Ids.ts"
import { mayRead, type User } from "../domain/User.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import { AccessUnavailable, AgentNotFound, Unauthenticated } from "./AccessError.ts"
import { failWith, type StoreError } from "../domain/StoreError.ts"
import { AccessStore, type Ownership, type TokenMatch } from "./AccessStore.ts"
import * as Token from "./Token.ts"

export class Access extends Context.Service<
  Access,
  {
    /** The agent that a token belongs to. */
    readonly agent: (token: Token.Token) => Effect.Effect<AgentIdentity, Unauthenticated | AccessUnavailable>
    /** The agents that tokens belong to, in their order, by one statement. */
    readonly agents: (
      tokens: ReadonlyArray<Token.Token>
    ) => Effect.Effect<ReadonlyArray<Option.Option<AgentIdentity>>, AccessUnavailable>
    /** The user that a token belongs to. */
    readonly user: (token: Token.Token) => Effect.Effect<User, Unauthenticated | AccessUnavailable>
    /** Succeeds if `user` may read `agentId`. The right is then part of the {@link Grants} of the request. */
    readonly mayRead: (user: User, agentId: AgentId) => Effect.Effect<void, AgentNotFound | AccessUnavailable>
  }
>()("metadata-batcher/access/Access") {}

/** Collects the rights that a request was given, so that they can be checked again while its response goes on. */
export const Grants = Context.Reference<((granted: Ownership) => void) | undefined>("metadata-batcher/access/Grants", {
  defaultValue: () => undefined
})

/** The most look-ups in one statement. */
const maxLookups = 1_000

/** The most tokens that are remembered as wrong, and for how many milliseconds. */
const maxWrong = 10_000
const wrongMillis = 1_000

export const make = Effect.gen(function* () {
  const store = yield* AccessStore
  const digest = yield* Digest.Digest

  const coalesce = <Q, A>(
    name: string,
    keyOf: (request: Q) => string,
    lookup: (requests: ReadonlyArray<Q>) => Effect.Effect<ReadonlyArray<A>, StoreError>,
    keyOfResult: (result: A) => string
  ) =>
    Effect.map(
      RequestCoalescer.make({
        name,
        window: 0,
        maxSize: maxLookups,
        concurrency: 1,
        keyOf,
        call: (requests: ReadonlyArray<Q>) =>
          Effect.map(lookup(requests), (results) => {
            const byKey = new Map(results.map((result) => [keyOfResult(result), result]))
            return (request: Q) => byKey.get(keyOf(request))
          })
      }),
      ({ request }) =>
        (query: Q) =>
          Effect.map(Effect.catch(request(query), unavailable), Option.fromUndefinedOr)
    )

  const findAgent = yield* coalesce("Access.agents", Hex.encode, store.agents, ({ digest }) => Hex.encode(digest))
  const findUser = yield* coalesce("Access.users", Hex.encode, store.users, ({ digest }) => Hex.encode(digest))
  const findOwnership = yield* coalesce(
    "Access.ownerships",
    (agentId: AgentId) => agentId,
    store.ownerships,
    ({ agentId }) => agentId
  )

  const digestOf = (token: Token.Token) => Effect.provideService(Token.digest(token), Digest.Digest, digest)

  const identifier = <A>(
    find: (digest: Token.TokenDigest) => Effect.Effect<Option.Option<TokenMatch<A>>, AccessUnavailable>
  ) => {
    /** When each wrong token was looked up, by its digest; the oldest first. */
    const wrong = new Map<string, number>()
    return Effect.fnUntraced(function* (token: Token.Token) {
      if (Redacted.value(token) === "") return yield* unauthenticated
      const shown = yield* digestOf(token)
      const key = Hex.encode(shown)
      const now = yield* MonotonicClock.millis
      if (now - (wrong.get(key) ?? Number.NEGATIVE_INFINITY) < wrongMillis) return yield* unauthenticated
      const found = yield* find(shown)
      if (Option.isSome(found) && Token.isSame(found.value.digest, shown)) return found.value.subject
      wrong.delete(key)
      wrong.set(key, now)
      if (wrong.size > maxWrong) wrong.delete(wrong.keys().next().value!)
      return yield* unauthenticated
    })
  }

  return Access.of({
    agent: identifier(findAgent),
    agents: Effect.fnUntraced(function* (tokens) {
      const digests = yield* Effect.forEach(tokens, digestOf)
      const found = yield* store.agents(digests)
      const byDigest = new Map(found.map((match) => [Hex.encode(match.digest), match]))
      return digests.map((shown) => {
        const match = byDigest.get(Hex.encode(shown))
        return match !== undefined && Token.isSame(match.digest, shown) ? Option.some(match.subject) : Option.none()
      })
    }, Effect.catch(unavailable)),
    user: identifier(findUser),
    mayRead: Effect.fnUntraced(function* (user, agentId) {
      const ownership = yield* findOwnership(agentId)
      if (Option.isNone(ownership) || !mayRead(user, ownership.value.ownerId)) {
        return yield* new AgentNotFound({ message: `there is no agent ${agentId}` })
      }
      const grants = yield* Grants
      grants?.(ownership.value)
    })
  })
})

export const layer: Layer.Layer<Access, never, AccessStore | Digest.Digest> = Layer.effect(Access, make)

const unavailable = failWith(() => new AccessUnavailable({ message: "tokens cannot be looked up now" }))

const unauthenticated = new Unauthenticated({
  message: `a valid token is required, in the header ${Token.header} or as a bearer token`
})
