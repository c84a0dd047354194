/**
 * The middleware that identifies the caller of an endpoint, or ends the request with an error.
 *
 * - The first valid token of a request identifies the caller.
 * - Only 401 asks for another token: a caller without the right gets 403, and nobody gets 401 while tokens cannot be
 *   looked up.
 * - A stream or a WebSocket ends when the token, or a right that the request was given, is gone: see
 *   {@link Revocations}.
 * - A WebSocket that a page of another host opens with a cookie gets 403.
 * - A user and an agent may have a limited number of connections open; further ones get 429.
 * - If an address shows many wrong tokens, the responses to them are delayed.
 */
import { Context, Deferred, Effect, Layer, Option, Redacted, Result, Schema, Stream } from "effect"
import { HttpBody, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware, HttpApiSecurity } from "effect/http-api"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { User } from "../domain/User.ts"
import { closeEvent } from "../platform/CloseCode.ts"
import { endWebSocket, markAuthenticated, setServing } from "../platform/RequestSocket.ts"
import { Access, Grants } from "./Access.ts"
import { AccessUnavailable, type AgentNotFound, Forbidden, TooManyConnections, Unauthenticated } from "./AccessError.ts"
import type { Ownership } from "./AccessStore.ts"
import * as FailureThrottle from "./internal/failureThrottle.ts"
import * as OpenLimit from "./internal/openLimit.ts"
import * as Rechecks from "./internal/rechecks.ts"
import * as Revocations from "./Revocations.ts"
import * as Token from "./Token.ts"

/** The user who calls. */
export class CurrentUser extends Context.Service<CurrentUser, User>()("metadata-batcher/access/CurrentUser") {}

/** The agent that calls, and its token. */
export class CurrentAgent extends Context.Service<
  CurrentAgent,
  { readonly identity: AgentIdentity; readonly token: Token.Token }
>()("metadata-batcher/access/CurrentAgent") {}

const inHeaders = {
  header: HttpApiSecurity.apiKey({ in: "header", key: Token.header }),
  bearer: HttpApiSecurity.bearer
}

/** Returns the tokens in the headers of a request to an address that is no endpoint. */
export const tokensInHeaders = Effect.map(
  Effect.forEach(Object.values(inHeaders), (place) => HttpApiBuilder.securityDecode<typeof place>(place)),
  (tokens): ReadonlyArray<Token.Token> => tokens.filter((token) => Redacted.value(token) !== "")
)

/** The places where agents of all releases send their tokens, in the order of the original. */
const ofAgents = {
  cookie: HttpApiSecurity.apiKey({ in: "cookie", key: Token.parameter }),
  query: HttpApiSecurity.apiKey({ in: "query", key: Token.parameter }),
  ...inHeaders,
  accessToken: HttpApiSecurity.apiKey({ in: "query", key: "access_token" })
}

/**
 * Admits the agent whose token is in a cookie, in the address or in a header.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class AgentAuthentication extends HttpApiMiddleware.Service<AgentAuthentication, { provides: CurrentAgent }>()(
  "metadata-batcher/access/AgentAuthentication",
  { security: ofAgents, error: [Unauthenticated, Forbidden, AccessUnavailable, TooManyConnections] }
) {}

/**
 * Admits every user, with a token in a header or in the address.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class ReaderAuthentication extends HttpApiMiddleware.Service<ReaderAuthentication, { provides: CurrentUser }>()(
  "metadata-batcher/access/ReaderAuthentication",
  {
    security: { ...inHeaders, query: HttpApiSecurity.apiKey({ in: "query", key: Token.parameter }) },
    error: [Unauthenticated, AccessUnavailable, TooManyConnections]
  }
) {}

/**
 * Admits administrators, with a token in a header.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 */
export class AdminAuthentication extends HttpApiMiddleware.Service<AdminAuthentication, { provides: CurrentUser }>()(
  "metadata-batcher/access/AdminAuthentication",
  { security: inHeaders, error: [Unauthenticated, Forbidden, AccessUnavailable, TooManyConnections] }
) {}

/** The most connections that one user, and one agent, may have open at the same time. */
export interface Limits {
  readonly maxConnectionsPerUser?: number | undefined
  readonly maxConnectionsPerAgent?: number | undefined
}

export const Limits = Context.Reference<Limits>("metadata-batcher/access/Limits", { defaultValue: () => ({}) })

export const layerAgent: Layer.Layer<AgentAuthentication, never, Access | Revocations.Revocations> = Layer.effect(
  AgentAuthentication,
  Effect.gen(function* () {
    const { agent, agents } = yield* Access
    const { maxConnectionsPerAgent } = yield* Limits
    const recheck = yield* Rechecks.make((tokens) =>
      Effect.map(agents(tokens), (found) => found.map((identity) => Option.map(identity, ({ agentId }) => agentId)))
    )
    const admit = yield* admitting(CurrentAgent, {
      recheck,
      identify: (token) => Effect.map(agent(token), (identity) => ({ identity, token })),
      subjects: ({ identity }) => [`agent:${identity.agentId}`, `workspace:${identity.workspace.id}`],
      idOf: ({ identity }) => identity.agentId,
      maxConnections: maxConnectionsPerAgent
    })
    return {
      cookie: (endpoint, options) => admit(ofOwnOrigin(endpoint), options),
      query: admit,
      header: admit,
      bearer: admit,
      accessToken: admit
    }
  })
)

const identifyingUsers = Effect.fnUntraced(function* (
  identify: (token: Token.Token) => Effect.Effect<User, Unauthenticated | Final>
) {
  const { mayRead } = yield* Access
  const { maxConnectionsPerUser } = yield* Limits
  return yield* admitting(CurrentUser, {
    identify,
    subjects: ({ id }) => [`user:${id}`],
    idOf: ({ id }) => id,
    maxConnections: maxConnectionsPerUser,
    mayStill: (user, { agentId }) => mayRead(user, agentId)
  })
})

export const layerReader: Layer.Layer<ReaderAuthentication, never, Access | Revocations.Revocations> = Layer.effect(
  ReaderAuthentication,
  Effect.gen(function* () {
    const { user } = yield* Access
    const admit = yield* identifyingUsers(user)
    return { header: admit, bearer: admit, query: admit }
  })
)

export const layerAdmin: Layer.Layer<AdminAuthentication, never, Access | Revocations.Revocations> = Layer.effect(
  AdminAuthentication,
  Effect.gen(function* () {
    const { user } = yield* Access
    const admit = yield* identifyingUsers(
      Effect.fnUntraced(function* (token) {
        const caller = yield* user(token)
        return caller.isAdmin ? caller : yield* new Forbidden({ message: "only an administrator may do this" })
      })
    )
    return { header: admit, bearer: admit }
  })
)

interface Admission<Caller> {
  readonly identify: (token: Token.Token) => Effect.Effect<Caller, Unauthenticated | Final>
  /** The subjects whose changes may revoke the right of the caller. */
  readonly subjects: (caller: Caller) => ReadonlyArray<Revocations.Subject>
  readonly idOf: (caller: Caller) => string
  readonly maxConnections: number | undefined
  /** Checks a token together with others. Default: each by itself, with the rights that its request was given. */
  readonly recheck?: (check: Rechecks.Recheck) => void
  /** Fails if the caller no longer has a right that the request was given. */
  readonly mayStill?: (caller: Caller, granted: Ownership) => Effect.Effect<void, AgentNotFound | AccessUnavailable>
}

/**
 * Runs an endpoint for the caller that the token belongs to. Open streams of the endpoint end when the token or a
 * granted right is gone: a stream with its end, a WebSocket with 1008.
 */
const admitting = Effect.fnUntraced(function* <Id, Caller>(
  key: Context.Key<Id, Caller>,
  { idOf, identify, maxConnections, mayStill, recheck, subjects }: Admission<Caller>
) {
  const revocations = yield* Revocations.Revocations
  const throttle = yield* FailureThrottle.make
  const enter = OpenLimit.make(maxConnections ?? Number.POSITIVE_INFINITY)

  const watch = Effect.fnUntraced(function* (
    caller: Caller,
    credential: Token.Token,
    granted: ReadonlyArray<Ownership>,
    end: Effect.Effect<void>
  ) {
    const holds = Effect.gen(function* () {
      const now = yield* identify(credential)
      if (idOf(now) !== idOf(caller)) return false
      if (mayStill !== undefined) yield* Effect.forEach(granted, (one) => mayStill(now, one), { discard: true })
      return true
    }).pipe(Effect.catchTag(["Unauthenticated", "Forbidden", "AgentNotFound"], () => Effect.succeed(false)))
    const collect = () => {
      recheck?.({ token: credential, id: idOf(caller), end })
      return undefined
    }
    const watcher = yield* revocations.watch(recheck === undefined ? Revocations.endUnless(holds, end) : collect)
    for (const subject of subjects(caller)) watcher.follow(subject)
    return watcher
  })

  return Effect.fnUntraced(function* <E, R>(
    endpoint: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
    { credential }: { readonly credential: Token.Token }
  ) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const identified = yield* Effect.result(identify(credential))
    if (Result.isFailure(identified)) {
      const { failure } = identified
      // the middleware then looks for a token in the next place, whose absence would become the response
      if (failure._tag !== "Unauthenticated") return yield* respond(failure)
      if (Redacted.value(credential) !== "") yield* throttle(Option.getOrElse(request.remoteAddress, () => ""))
      return yield* failure
    }
    const caller = identified.success
    yield* markAuthenticated(request)
    const entered = yield* Effect.result(enter(idOf(caller)))
    if (Result.isFailure(entered)) return yield* respond(entered.failure)

    const granted: Array<Ownership> = []
    const revoked = yield* Deferred.make<void>()
    const isUpgrade = request.headers["upgrade"] !== undefined
    if (isUpgrade) yield* setServing(request, yield* Effect.fiber)
    const end = isUpgrade
      ? endWebSocket(request, closeEvent("forbidden", "the token or the right to this is gone"))
      : Effect.asVoid(Deferred.succeed(revoked, undefined))
    const { follow } = yield* watch(caller, credential, granted, end)
    const response = yield* endpoint.pipe(
      Effect.provideService(key, caller),
      Effect.provideService(Grants, (ownership) => {
        if (!granted.includes(ownership)) granted.push(ownership)
        follow(`agent:${ownership.agentId}`)
        follow(`workspace:${ownership.workspaceId}`)
      })
    )
    const { body } = response
    return body._tag === "Stream"
      ? HttpServerResponse.setBody(
          response,
          HttpBody.stream(
            Stream.interruptWhen(body.stream, Deferred.await(revoked)),
            body.contentType,
            body.contentLength
          )
        )
      : response
  })
})

/** Runs an endpoint, unless a page of another host opens a WebSocket with a cookie, which the browser adds by itself. */
const ofOwnOrigin = <E, R>(endpoint: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  HttpServerRequest.HttpServerRequest.use(({ headers: { host, origin, upgrade } }) =>
    upgrade === undefined || origin === undefined || URL.parse(origin)?.host === host?.toLowerCase()
      ? endpoint
      : respond(new Forbidden({ message: "a page of another host may not connect with a cookie" }))
  )

type Final = Forbidden | AccessUnavailable | TooManyConnections

const encode = HttpServerResponse.schemaJson(Schema.Union([Forbidden, AccessUnavailable, TooManyConnections]))

const statuses = { Forbidden: 403, AccessUnavailable: 503, TooManyConnections: 429 } as const

const respond = (failure: Final) => Effect.orDie(encode(failure, { status: statuses[failure._tag] }))
