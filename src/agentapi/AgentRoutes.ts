/**
 * Where agents connect: a WebSocket that carries calls of the agent API.
 *
 * - The token is checked before the upgrade. Without a valid one the answer is 401 and no WebSocket comes to be.
 * - So is the version that the agent speaks: one that the service does not speak is answered with 400.
 * - What the session needs is there before anything is served. When it cannot be had the answer is 503.
 * - The times of an agent's connection are noted, unless it says that it connects in another role.
 * - Each connection has a session of its own, which ends with it.
 * - An agent that does not take its answers is not read from until it does, and one that calls too often as slowly as it
 *   may call. Pings that it leaves unanswered meanwhile end its connection.
 * - A defect in one call is the answer to that call; the others of the connection go on.
 * - A frame that is no message gets an error for an answer. One that is no WebSocket frame, or too large, ends the
 *   connection it came over, and is logged.
 */
import { Context, Effect, Layer, Option, Scope } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Socket } from "effect/socket"
import * as Authentication from "../access/Authentication.ts"
import { ping } from "../platform/RequestSocket.ts"
import * as AgentConnections from "./AgentConnections.ts"
import * as AgentHandlers from "./AgentHandlers.ts"
import * as AgentProtocol from "./AgentProtocol.ts"
import * as AgentSession from "./session/AgentSession.ts"
import * as ApiVersion from "./ApiVersion.ts"
import { AgentSocketApi, ConnectionRefused, SessionUnavailable } from "./AgentSocketApi.ts"
import * as CallRate from "./RateLimiter.ts"
import * as ConnectionMonitor from "./session/ConnectionMonitor.ts"

export interface Options extends ConnectionMonitor.Options {
  /** How many calls an agent may make in a second. Default: any number. */
  readonly maxCallRate?: number | undefined
}

const handlers = (options: Options = {}) =>
  HttpApiBuilder.group(
    AgentSocketApi,
    "agent",
    Effect.fnUntraced(function* (handlers) {
      const serve = yield* AgentProtocol.make
      const rateOf = yield* CallRate.make(options.maxCallRate ?? Number.POSITIVE_INFINITY)
      const monitor = yield* ConnectionMonitor.make(options)
      const services = yield* Effect.context<AgentSession.Services>()

      const open = Effect.fnUntraced(
        function* (
          introduction: AgentSession.Introduction,
          request: HttpServerRequest.HttpServerRequest,
          role: string
        ) {
          const session = yield* AgentSession.open(introduction)
          if (role !== "agent") return { over: Effect.never, session }
          const { over } = yield* Effect.provideService(
            monitor.start(ping(request)),
            AgentSession.AgentSession,
            session
          )
          return { over, session }
        },
        // what a connection is for long is in a context that shares these with all others
        Effect.updateContext((context: Context.Context<Scope.Scope>) =>
          Context.add(services, Scope.Scope, Context.get(context, Scope.Scope))
        ),
        Effect.tapError((error) => Effect.logError("an agent cannot be served", error)),
        Effect.mapError(() => new SessionUnavailable({ message: "agents cannot be served now" }))
      )

      return handlers.handleRaw("connect", ({ query, request }) =>
        Effect.gen(function* () {
          const apiVersion = ApiVersion.negotiate(query.version)
          if (Option.isNone(apiVersion)) return yield* unknownVersion
          if (request.headers["upgrade"]?.toLowerCase() !== "websocket") return upgradeRequired
          const introduction = { ...(yield* Authentication.CurrentAgent), apiVersion: apiVersion.value }
          const { over, session } = yield* open(introduction, request, query.role ?? "agent")
          const rate = yield* rateOf(session.identity.agentId)
          return yield* serve(request, { session, rate }).pipe(
            Effect.catch((error) => broken(session, error)),
            Effect.as(HttpServerResponse.empty()),
            // an interruption tells the client that the service goes away
            Effect.raceFirst(Effect.andThen(over, Effect.interrupt))
          )
        })
      )
    })
  )

export const layer = (options?: Options) =>
  HttpApiBuilder.layer(AgentSocketApi).pipe(
    Layer.provide(handlers(options)),
    Layer.provide([AgentHandlers.layer, Authentication.layerAgent]),
    Layer.provide(AgentConnections.layer)
  )

/** There is nobody left to answer. */
const broken = ({ identity }: AgentSession.AgentSession["Service"], error: Socket.SocketError) =>
  Effect.logWarning("the connection of an agent broke", error).pipe(Effect.annotateLogs({ agentId: identity.agentId }))

const unknownVersion = new ConnectionRefused({
  message: "the service does not speak this version of the agent API",
  validations: [
    {
      field: "version",
      detail: `must be ${ApiVersion.format(ApiVersion.current)} or an earlier version of ${ApiVersion.current.major}`
    }
  ]
})

const upgradeRequired = HttpServerResponse.jsonUnsafe(
  { _tag: "UpgradeRequired", message: "agents connect by WebSocket" },
  { status: 426, headers: { upgrade: "websocket" } }
)
