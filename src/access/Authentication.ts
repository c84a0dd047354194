/**
 * What a caller has to show before an endpoint runs, and whom the endpoint then finds in its context.
 *
 * The first valid token that a request carries settles who calls. What that caller may not do, and that nobody can be
 * recognized at present, is said as such: only 401 asks for another token.
 */
import { Context, Effect, Layer, Result, Schema } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware, HttpApiSecurity } from "effect/http-api"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { User } from "../domain/User.ts"
import { markAuthenticated } from "../platform/RequestSocket.ts"
import { Access } from "./Access.ts"
import { AccessUnavailable, Forbidden, Unauthenticated } from "./AccessError.ts"
import * as Token from "./Token.ts"

/** The user who calls. */
export class CurrentUser extends Context.Service<CurrentUser, User>()("metadata-batcher/access/CurrentUser") {}

/** The agent that calls, with the token that it has shown. */
export class CurrentAgent extends Context.Service<
  CurrentAgent,
  { readonly identity: AgentIdentity; readonly token: Token.Token }
>()("metadata-batcher/access/CurrentAgent") {}

const inHeaders = {
  header: HttpApiSecurity.apiKey({ in: "header", key: Token.header }),
  bearer: HttpApiSecurity.bearer
}

/**
 * Lets in the agent whose token is in a header.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class AgentAuthentication extends HttpApiMiddleware.Service<AgentAuthentication, { provides: CurrentAgent }>()(
  "metadata-batcher/access/AgentAuthentication",
  { security: inHeaders, error: [Unauthenticated, AccessUnavailable] }
) {}

/**
 * Lets in any user, with a token in a header or in the address.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class ReaderAuthentication extends HttpApiMiddleware.Service<ReaderAuthentication, { provides: CurrentUser }>()(
  "metadata-batcher/access/ReaderAuthentication",
  {
    security: { ...inHeaders, query: HttpApiSecurity.apiKey({ in: "query", key: Token.parameter }) },
    error: [Unauthenticated, AccessUnavailable]
  }
) {}

/**
 * Lets in administrators, with a token in a header.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class AdminAuthentication extends HttpApiMiddleware.Service<AdminAuthentication, { provides: CurrentUser }>()(
  "metadata-batcher/access/AdminAuthentication",
  { security: inHeaders, error: [Unauthenticated, Forbidden, AccessUnavailable] }
) {}

export const layerAgent: Layer.Layer<AgentAuthentication, never, Access> = Layer.effect(
  AgentAuthentication,
  Access.useSync(({ agent }) => {
    const admit = admitting(CurrentAgent, (token) => Effect.map(agent(token), (identity) => ({ identity, token })))
    return { header: admit, bearer: admit }
  })
)

export const layerReader: Layer.Layer<ReaderAuthentication, never, Access> = Layer.effect(
  ReaderAuthentication,
  Access.useSync(({ user }) => {
    const admit = admitting(CurrentUser, user)
    return { header: admit, bearer: admit, query: admit }
  })
)

export const layerAdmin: Layer.Layer<AdminAuthentication, never, Access> = Layer.effect(
  AdminAuthentication,
  Access.useSync(({ user }) => {
    const admit = admitting(
      CurrentUser,
      Effect.fnUntraced(function* (token) {
        const caller = yield* user(token)
        return caller.isAdmin ? caller : yield* new Forbidden({ message: "this takes an administrator" })
      })
    )
    return { header: admit, bearer: admit }
  })
)

/** Runs an endpoint for whoever the token belongs to. */
const admitting = <Id, Caller>(
  caller: Context.Key<Id, Caller>,
  identify: (token: Token.Token) => Effect.Effect<Caller, Unauthenticated | Final>
) =>
  Effect.fnUntraced(function* <E, R>(
    endpoint: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
    { credential }: { readonly credential: Token.Token }
  ) {
    const identified = yield* Effect.result(identify(credential))
    if (Result.isSuccess(identified)) {
      yield* Effect.flatMap(HttpServerRequest.HttpServerRequest, markAuthenticated)
      return yield* Effect.provideService(endpoint, caller, identified.success)
    }
    const { failure } = identified
    // after a failure the next place is looked at, and what is missing there would become the answer
    return failure._tag === "Unauthenticated" ? yield* failure : yield* answer(failure)
  })

type Final = Forbidden | AccessUnavailable

const encode = HttpServerResponse.schemaJson(Schema.Union([Forbidden, AccessUnavailable]))

const answer = (failure: Final) => Effect.orDie(encode(failure, { status: failure._tag === "Forbidden" ? 403 : 503 }))
