/** The handlers of all calls, and the middleware that gives each call the session of its agent. */
import { Effect, Layer } from "effect"
import { AgentApi, AgentSessionMiddleware } from "./AgentApi.ts"
import { AgentSockets } from "./AgentSockets.ts"
import { InvalidRequest } from "./AgentError.ts"
import * as FailureMetrics from "../telemetry/FailureMetrics.ts"
import * as SessionCalls from "./internal/sessionCalls.ts"
import * as AnnouncementBanners from "./calls/AnnouncementBanners.ts"
import * as Apps from "./calls/Apps.ts"
import * as BoundaryLogs from "./calls/BoundaryLogs.ts"
import * as ContextState from "./calls/ContextState.ts"
import * as UserSessions from "./calls/UserSessions.ts"
import * as Lifecycle from "./calls/Lifecycle.ts"
import * as Logs from "./calls/Logs.ts"
import * as Manifest from "./calls/Manifest.ts"
import * as Metadata from "./calls/Metadata.ts"
import * as Scripts from "./calls/Scripts.ts"
import * as ResourceMonitors from "./calls/ResourceMonitors.ts"
import * as Stats from "./calls/Stats.ts"
import * as SubAgents from "./calls/SubAgents.ts"

const handlers = AgentApi.toLayer(
  Effect.gen(function* () {
    const { BatchUpdateMetadata } = yield* Metadata.make
    return AgentApi.of({
      ...(yield* Manifest.make),
      ...(yield* AnnouncementBanners.make),
      ...(yield* Lifecycle.make),
      ...(yield* Apps.make),
      ...(yield* Stats.make),
      BatchUpdateMetadata,
      ...(yield* Logs.make),
      ...(yield* Scripts.make),
      ...(yield* UserSessions.make),
      ...(yield* BoundaryLogs.make),
      ...(yield* ResourceMonitors.make),
      ...(yield* SubAgents.make),
      ...(yield* ContextState.make)
    })
  })
)

/** Runs a call with the session of its connection, and counts it as running. */
const sessions = Layer.effect(
  AgentSessionMiddleware,
  AgentSockets.useSync((agentSockets) =>
    AgentSessionMiddleware.of((handler, { client, payload, rpc }) =>
      Effect.suspend(() => {
        const agentSocket = agentSockets.get(client.id)
        if (agentSocket === undefined) return Effect.die("a call came over a connection without a session")
        if (payload instanceof InvalidRequest) {
          return Effect.andThen(FailureMetrics.callFailed(rpc._tag, payload._tag), Effect.fail(payload))
        }
        const { callGate, session } = agentSocket
        return callGate.counted(SessionCalls.inSession(rpc._tag, session, handler))
      })
    )
  )
)

export const layer = Layer.mergeAll(
  handlers,
  sessions,
  Layer.effectDiscard(FailureMetrics.register(AgentApi.requests.keys()))
)
