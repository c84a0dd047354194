/**
 * The addresses of the tailnet for clients of people.
 *
 * - Before the upgrade: without a right to the agent the response is 404, for a version that the service does not speak
 *   400, for a bad resume token 401, while tokens cannot be looked up 503.
 * - A client has the id of its resume token, or a new one.
 * - A connection is closed with 1008 when its token, or its right to an agent that it has a tunnel to, is gone.
 * - A connection whose client leaves pings without a pong for 30 s is closed with 1011, and one whose client breaks the
 *   protocol with 1002. When the service stops, it closes connections with 1012.
 */
import { Deferred, Effect, Layer, Metric, Option, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { SocketError } from "effect/socket/Socket"
import { Access, Grants } from "../access/Access.ts"
import * as Authentication from "../access/Authentication.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as ApiVersion from "../agentapi/ApiVersion.ts"
import * as RateLimiter from "../agentapi/RateLimiter.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { User } from "../domain/User.ts"
import * as FairReader from "../platform/FairReader.ts"
import * as RequestBytes from "../platform/RequestBytes.ts"
import { asksForWebSocket, closeAtEnd, closeWebSocket, drained, ping } from "../platform/RequestSocket.ts"
import * as SocketFailure from "../platform/SocketFailure.ts"
import { upgradeRequired } from "../platform/Responses.ts"
import * as DrpcMultiplexer from "../wire/DrpcMultiplexer.ts"
import * as SessionEnd from "../wire/SessionEnd.ts"
import * as WireMetrics from "../wire/WireMetrics.ts"
import * as WireServer from "../wire/WireServer.ts"
import * as Authority from "./Authority.ts"
import * as DerpMap from "./DerpMap.ts"
import { DerpMaps } from "./DerpMaps.ts"
import { PeerId } from "./Peer.ts"
import { ResumeTokens } from "./ResumeTokens.ts"
import { ResumeTokenRefused, TailnetApi, TailnetRefused } from "./TailnetApi.ts"
import * as TailnetService from "./TailnetService.ts"

export interface Options {
  /** Clients reach agents through relays alone. Default `false`. */
  readonly disableDirectConnections?: boolean | undefined
  /** Relays are reached by WebSocket alone. Default `false`. */
  readonly derpForceWebsockets?: boolean | undefined
}

interface Query {
  readonly version?: string
  readonly resume_token?: string
}

/** The calls of a client in a second, of which 128 frames count as one. A faster client is read more slowly. */
const maxRate = 200

const pingInterval = "15 seconds"
const maxSilence = "30 seconds"

const handlers = (options: Options) =>
  HttpApiBuilder.group(
    TailnetApi,
    "tailnet",
    Effect.fnUntraced(function* (handlers) {
      const access = yield* Access
      const fairReader = yield* FairReader.FairReader
      const derpMaps = yield* DerpMaps
      const tokens = yield* ResumeTokens
      const random = yield* SecureRandom.SecureRandom
      const multiplexer = DrpcMultiplexer.make((yield* TailnetService.make)((caller: TailnetService.Caller) => caller))
      const server = yield* WireServer.make()
      const rateOf = yield* RateLimiter.make<PeerId>(maxRate)

      const mayRead = Effect.fnUntraced(function* (agentId: AgentId) {
        yield* access.mayRead(yield* Authentication.CurrentUser, agentId)
      })

      const info = Effect.map(derpMaps.current, (derp_map) => ({
        derp_map,
        derp_force_websockets: options.derpForceWebsockets ?? false,
        disable_direct_connections: options.disableDirectConnections ?? false
      }))

      const newId = Effect.map(random.uuidV4(), (id) => PeerId.make(id))
      const peerId = Effect.fnUntraced(function* (token: string | undefined) {
        if (token === undefined || token === "") return yield* newId
        const id = yield* Effect.catch(tokens.verify(token), (error) =>
          error._tag === "InvalidResumeToken"
            ? Effect.fail(resumeTokenRefused(error.message))
            : // the client is a new peer while keys cannot be read
              Effect.as(Effect.logWarning("resume tokens cannot be checked", error), Option.none<PeerId>())
        )
        return Option.isSome(id) ? id.value : yield* newId
      })

      const serve = Effect.fnUntraced(function* (
        request: HttpServerRequest.HttpServerRequest,
        query: Query,
        authority: Authority.Authority
      ) {
        const id = yield* peerId(query.resume_token)
        const user = yield* Authentication.CurrentUser
        const caller: TailnetService.Caller = { peer: { id, name: "client", authority }, user }
        yield* Effect.gen(function* () {
          const rate = yield* rateOf(id)
          const bytes = yield* RequestBytes.open(request, fairReader, rate)
          const ended = yield* Deferred.make<void>()
          const session = yield* server.open(multiplexer, caller, {
            write: bytes.write,
            drained: drained(request),
            ended: (reason) =>
              Effect.andThen(
                closeWebSocket(request, SessionEnd.closeEventOf(reason)),
                Deferred.succeed(ended, undefined)
              )
          })
          const receive = (messages: ReadonlyArray<Uint8Array>) => rate.consumeUnsafe(session.receive(messages))
          yield* Effect.raceAllFirst([bytes.serve(receive), Deferred.await(ended), keepAlive(request)]).pipe(
            Effect.tapErrorTag("SocketError", countBroken),
            closeAtEnd(request)
          )
        }).pipe(
          Effect.scoped,
          // the client left, or is unreachable: there is nobody to tell
          Effect.ignore({ log: "Debug", message: "connection of a tailnet client ended" })
        )
        return HttpServerResponse.empty()
      })

      return handlers
        .handleRaw("coordinate", ({ params: { agent }, query, request }) =>
          Effect.gen(function* () {
            yield* mayRead(agent)
            // a client that names no version is of the time before the second one
            yield* negotiate(query.version ?? "1.0")
            if (!asksForWebSocket(request)) return upgradeRequired("clients of the tailnet connect by WebSocket")
            return yield* serve(request, query, Authority.clientOf(agent))
          })
        )
        .handleRaw("tailnet", ({ query, request }) =>
          Effect.gen(function* () {
            yield* negotiate(query.version)
            if (!asksForWebSocket(request)) return upgradeRequired("clients of the tailnet connect by WebSocket")
            const user = yield* Authentication.CurrentUser
            const grants = yield* Grants
            // a call runs apart from its request, and a right that it needs belongs to the request
            const mayOpen = (id: PeerId) => Effect.provideService(mayReach(access, user, id), Grants, grants)
            return yield* serve(request, query, Authority.user(mayOpen))
          })
        )
        .handle("agentConnection", ({ params }) => Effect.andThen(mayRead(params.agent), info))
        .handle("connection", () => info)
    })
  )

const relays = HttpApiBuilder.group(
  TailnetApi,
  "relays",
  Effect.fnUntraced(function* (handlers) {
    const derpMaps = yield* DerpMaps
    return handlers.handleRaw("derpMap", ({ request }) =>
      Effect.gen(function* () {
        if (!asksForWebSocket(request)) return upgradeRequired("the DERP map is followed by WebSocket")
        yield* Effect.gen(function* () {
          const socket = yield* request.upgrade
          const { write } = yield* socket.writer
          const { pull } = yield* socket.reader
          const send = Stream.runForEach(derpMaps.changes, (map) =>
            Effect.andThen(
              write(new TextEncoder().encode(DerpMap.format(map))),
              Effect.timeout(drained(request), maxSilence)
            )
          )
          yield* Effect.raceAllFirst([send, Effect.forever(pull), keepAlive(request)]).pipe(closeAtEnd(request))
        }).pipe(Effect.scoped, Effect.ignore({ log: "Debug", message: "connection of a reader of relays ended" }))
        return HttpServerResponse.empty()
      })
    )
  })
)

export const layer = (options: Options = {}) =>
  HttpApiBuilder.layer(TailnetApi).pipe(
    Layer.provide([handlers(options), relays]),
    Layer.provide([Authentication.layerReader, FairReader.layer, layerRequestValidation])
  )

// ----- internals -----

/** Counts a connection that broke because of what the client sent. */
const countBroken = (error: SocketError) => {
  const reason = SocketFailure.reasonOf(error)
  return reason === "connection lost"
    ? Effect.void
    : Metric.update(Metric.withAttributes(WireMetrics.violations, { scope: "connection", reason }), 1)
}

const keepAlive = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.forever(Effect.andThen(Effect.sleep(pingInterval), Effect.timeout(ping(request), maxSilence)))

const negotiate = (version: string | undefined) =>
  Option.isSome(ApiVersion.negotiate(version))
    ? Effect.void
    : Effect.fail(
        new TailnetRefused({
          message: "the service does not speak this version of the tailnet API",
          validations: [
            {
              field: "version",
              detail: `must be ${ApiVersion.format(ApiVersion.current)} or an earlier version of ${ApiVersion.current.major}`
            }
          ]
        })
      )

const resumeTokenRefused = (detail: string) =>
  new ResumeTokenRefused({
    message: "Invalid resume token",
    validations: [{ field: "resume_token", detail }]
  })

/** Whether a user may open a tunnel to a peer. */
const mayReach = (access: Access["Service"], user: User, id: PeerId) =>
  access.mayRead(user, id as string as AgentId).pipe(
    Effect.as(true),
    Effect.catchTags({
      AgentNotFound: () => Effect.succeed(false),
      AccessUnavailable: () => Effect.fail(new Authority.Refused({ detail: "agents cannot be looked up now" }))
    })
  )
