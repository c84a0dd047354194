/**
 * What a caller has to show before an endpoint runs, and whom the endpoint then finds in its context.
 */
import { Context, Effect, Layer } from "effect"
import { HttpApiMiddleware, HttpApiSecurity } from "effect/http-api"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { User } from "../domain/User.ts"
import { Access } from "./Access.ts"
import { AccessUnavailable, Forbidden, Unauthenticated } from "./AccessError.ts"
import * as Token from "./Token.ts"

/** The user who calls. */
export class CurrentUser extends Context.Service<CurrentUser, User>()("metadata-batcher/access/CurrentUser") {}

/** The agent that calls. */
export class CurrentAgent extends Context.Service<CurrentAgent, AgentIdentity>()(
  "metadata-batcher/access/CurrentAgent"
) {}

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
  Access.useSync((access) => {
    const admit: typeof AgentAuthentication.Service.bearer = (endpoint, { credential }) =>
      Effect.flatMap(access.agent(credential), (agent) => Effect.provideService(endpoint, CurrentAgent, agent))
    return { header: admit, bearer: admit }
  })
)

export const layerReader: Layer.Layer<ReaderAuthentication, never, Access> = Layer.effect(
  ReaderAuthentication,
  Access.useSync((access) => {
    const admit: typeof ReaderAuthentication.Service.bearer = (endpoint, { credential }) =>
      Effect.flatMap(access.user(credential), (user) => Effect.provideService(endpoint, CurrentUser, user))
    return { header: admit, bearer: admit, query: admit }
  })
)

export const layerAdmin: Layer.Layer<AdminAuthentication, never, Access> = Layer.effect(
  AdminAuthentication,
  Access.useSync((access) => {
    const admit: typeof AdminAuthentication.Service.bearer = Effect.fnUntraced(function* (endpoint, { credential }) {
      const user = yield* access.user(credential)
      if (!user.isAdmin) return yield* new Forbidden({ message: "this takes an administrator" })
      return yield* Effect.provideService(endpoint, CurrentUser, user)
    })
    return { header: admit, bearer: admit }
  })
)
