/**
 * The address where agents connect: a WebSocket that carries the calls of the agent API.
 *
 * - A client that offers no subprotocol speaks the original's protocol; one that offers `metadata-batcher.v1` speaks
 *   JSON. Any other subprotocol gets 400.
 * - Before the upgrade, a request without a valid token gets 401, and a version of the agent API that the service does
 *   not speak gets 400.
 * - The session is opened before the upgrade. If that fails, the response is 503.
 * - Each connection has its own session. Its times are recorded unless it connects in another role than `agent`.
 * - The service reads more slowly from an agent that does not take its replies, calls too often or has too many calls
 *   running, and from all agents while the batcher has little room.
 * - A defect in a call affects the reply to that call alone. A frame that holds no message gets an error as its reply.
 * - A frame that is malformed or too large ends its connection, which is logged and counted by reason.
 * - When the service stops, it closes connections with 1012. It closes the connection of an agent that does not answer
 *   pings with 1011, and that of an agent of an older build with 1008.
 */
import { Cause, Context, Effect, ErrorReporter, FiberSet, Layer, Metric, Option, Result, Scope } from "effect"
import { type Headers, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Socket } from "effect/socket"
import * as Authentication from "../access/Authentication.ts"
import * as MetadataBatcher from "../metadata/MetadataBatcher.ts"
import { closeEvent, type CloseReason } from "../platform/CloseCode.ts"
import { asksForWebSocket, closeAtEnd, endWebSocket, serveDetached } from "../platform/RequestSocket.ts"
import * as FairReader from "../platform/FairReader.ts"
import * as SocketFailure from "../platform/SocketFailure.ts"
import * as StallDetector from "../platform/StallDetector.ts"
import { upgradeRequired } from "../platform/Responses.ts"
import * as AgentSockets from "./AgentSockets.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as AgentHandlers from "./AgentHandlers.ts"
import * as AgentProtocol from "./AgentProtocol.ts"
import * as AgentWire from "./AgentWire.ts"
import * as AgentSession from "./session/AgentSession.ts"
import * as ApiVersion from "./ApiVersion.ts"
import { socketErrors } from "./AgentMetrics.ts"
import { AgentSocketApi, ConnectionRefused, SessionUnavailable, subprotocol } from "./AgentSocketApi.ts"
import * as CallGate from "./internal/callGate.ts"
import * as RateLimiter from "./RateLimiter.ts"
import * as AgentSocketMonitor from "./session/AgentSocketMonitor.ts"

export interface Options extends AgentSocketMonitor.Options {
  /** The most calls of an agent in a second. Default: no limit. */
  readonly agentMaxCallRate?: number | undefined
  /** The newest accepted minor version of the agent API. Default: the version of the service. */
  readonly agentApiMaxMinor?: number | undefined
  /** The most calls of a connection that run at the same time. Default 16. */
  readonly agentMaxRunningCalls?: number | undefined
  /** The most streams of a connection in the original's protocol. Default 1 024. */
  readonly agentMaxStreams?: number | undefined
}

const handlers = (options: Options = {}) =>
  HttpApiBuilder.group(
    AgentSocketApi,
    "agent",
    Effect.fnUntraced(function* (handlers) {
      const makeJson = yield* AgentProtocol.make
      const makeWire = yield* AgentWire.make({ maxStreams: options.agentMaxStreams })
      const run = yield* FiberSet.makeRuntime<never, void, never>()
      const limiterOf = yield* RateLimiter.make(options.agentMaxCallRate ?? Number.POSITIVE_INFINITY)
      const monitor = yield* AgentSocketMonitor.make(options)
      const services = yield* Effect.context<AgentSession.Services>()
      const maxMinor = options.agentApiMaxMinor ?? ApiVersion.current.minor

      const open = Effect.fnUntraced(
        function* (
          introduction: AgentSession.Introduction,
          { roundTrip, ...monitored }: AgentSocketMonitor.Monitored & { readonly roundTrip: Effect.Effect<void> },
          role: string
        ) {
          const session = yield* AgentSession.open(introduction, roundTrip)
          const start = role === "agent" ? monitor.start : monitor.startUnrecorded
          yield* Effect.provideService(start(monitored), AgentSession.AgentSession, session)
          return session
        },
        // connections share one context of these services
        Effect.updateContext((context: Context.Context<Scope.Scope>) =>
          Context.add(services, Scope.Scope, Context.get(context, Scope.Scope))
        ),
        Effect.tapError((error) => Effect.logError("agent session not opened", error)),
        Effect.mapError(() => new SessionUnavailable({ message: "agents cannot be served now" }))
      )

      return handlers.handleRaw("connect", ({ query, request }) =>
        Effect.gen(function* () {
          const apiVersion = ApiVersion.negotiate(query.version, maxMinor)
          if (Option.isNone(apiVersion)) return yield* unknownVersion(maxMinor)
          if (!asksForWebSocket(request)) {
            return upgradeRequired("agents connect by WebSocket")
          }
          const protocol = protocolOf(request.headers)
          if (protocol === undefined) return yield* unknownProtocol
          const introduction = { ...(yield* Authentication.CurrentAgent), apiVersion: apiVersion.value }
          const lane = protocol === "original" ? makeWire(request) : makeJson(request)
          const end = (reason: AgentSocketMonitor.Reason) =>
            endWebSocket(request, closeEvent(closeReasons[reason], reason))
          // an absent or empty role means `agent`: older agents send no role
          const session = yield* open(introduction, { ...lane, end }, query.role || "agent")
          const rateLimiter = yield* limiterOf(session.identity.agentId)
          const callGate = CallGate.make(options.agentMaxRunningCalls ?? 16)
          const agentSocket = { session, rateLimiter, callGate }
          const opened = yield* Effect.result(lane.open(agentSocket))
          if (Result.isFailure(opened)) {
            yield* broken(session, opened.failure)
            return HttpServerResponse.empty()
          }
          const serve = opened.success.pipe(
            Effect.catch((error) => broken(session, error)),
            // the first close of a WebSocket counts: the service stops if nothing else has closed it
            closeAtEnd(request),
            Effect.onError((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : ErrorReporter.report(cause)))
          )
          return yield* serveDetached(request, run, serve)
        })
      )
    })
  )

/** Agents are read more slowly while the batcher has little room. */
const layerFairReader = Layer.effect(
  FairReader.FairReader,
  Effect.flatMap(MetadataBatcher.MetadataBatcher, ({ saturationUnsafe }) => FairReader.make(saturationUnsafe))
)

export const layer = (options?: Options) =>
  HttpApiBuilder.layer(AgentSocketApi).pipe(
    Layer.provide(handlers(options)),
    Layer.provide([AgentHandlers.layer, Authentication.layerAgent, layerRequestValidation]),
    Layer.provide([AgentSockets.layer, layerFairReader, StallDetector.layer])
  )

const closeReasons: { readonly [R in AgentSocketMonitor.Reason]: CloseReason } = {
  "ping timeout": "failure",
  // the agents of an older build have no valid token
  "the build of the agent is no longer the latest": "forbidden",
  "the connection reached its maximum age": "restart"
}

const broken = ({ identity }: AgentSession.AgentSession["Service"], error: Socket.SocketError) => {
  const reason = SocketFailure.reasonOf(error)
  return Effect.logDebug("agent connection broke", error).pipe(
    Effect.annotateLogs({ agentId: identity.agentId, reason }),
    Effect.andThen(Metric.update(socketErrors[reason], 1))
  )
}

/** Returns the protocol of the offered subprotocols: the original's if none is offered, JSON by its name. */
const protocolOf = (headers: Headers.Headers): "original" | "json" | undefined => {
  const offered = headers["sec-websocket-protocol"]
  if (offered === undefined) return "original"
  // the first one is chosen
  return offered.split(",")[0]!.trim() === subprotocol ? "json" : undefined
}

const unknownProtocol = new ConnectionRefused({
  message: "the service does not speak this protocol",
  validations: [
    { field: "Sec-WebSocket-Protocol", detail: `must be ${subprotocol}, or absent for the original's protocol` }
  ]
})

/** Programs of the original compare the message. */
const unknownVersion = (maxMinor: number) => {
  const { major } = ApiVersion.current
  const newest = ApiVersion.format({ major, minor: maxMinor })
  return new ConnectionRefused({
    message: "Unknown or unsupported API version",
    validations: [{ field: "version", detail: `must be ${newest} or an earlier version of ${major}` }]
  })
}
