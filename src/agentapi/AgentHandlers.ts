/** All that answers an agent: the sub-APIs, one line each, and the session that they act for. */
import { Effect, Layer } from "effect"
import { AgentApi, AgentSessionMiddleware } from "./AgentApi.ts"
import { AgentConnections } from "./AgentConnections.ts"
import { InvalidRequest } from "./AgentError.ts"
import { AgentSession } from "./session/AgentSession.ts"
import * as AnnouncementBanners from "./calls/AnnouncementBanners.ts"
import * as Apps from "./calls/Apps.ts"
import * as BoundaryLogs from "./calls/BoundaryLogs.ts"
import * as ConnectionLog from "./calls/ConnectionLog.ts"
import { Begun } from "./internal/begun.ts"
import * as Lifecycle from "./calls/Lifecycle.ts"
import * as Logs from "./calls/Logs.ts"
import * as Manifest from "./calls/Manifest.ts"
import * as Metadata from "./calls/Metadata.ts"
import * as Scripts from "./calls/Scripts.ts"
import * as ResourcesMonitoring from "./calls/ResourcesMonitoring.ts"
import * as Stats from "./calls/Stats.ts"
import * as SubAgents from "./calls/SubAgents.ts"

const handlers = AgentApi.toLayer(
  Effect.gen(function* () {
    const metadata = yield* Metadata.make
    return AgentApi.of({
      ...(yield* Manifest.make),
      ...(yield* AnnouncementBanners.make),
      ...(yield* Lifecycle.make),
      ...(yield* Apps.make),
      ...(yield* Stats.make),
      BatchUpdateMetadata: (request) =>
        request instanceof Begun ? request.outcome : metadata.BatchUpdateMetadata(request),
      ...(yield* Logs.make),
      ...(yield* Scripts.make),
      ...(yield* ConnectionLog.make),
      ...(yield* BoundaryLogs.make),
      ...(yield* ResourcesMonitoring.make),
      ...(yield* SubAgents.make)
    })
  })
)

/** Takes the session from the connection that a call came over, and counts the call. */
const sessions = Layer.effect(
  AgentSessionMiddleware,
  AgentConnections.useSync((connections) =>
    AgentSessionMiddleware.of((handler, { client, payload }) =>
      Effect.suspend(() => {
        const connection = connections.get(client.id)
        if (connection === undefined) return Effect.die("a call came over a connection without a session")
        connection.rate.spendUnsafe()
        return payload instanceof InvalidRequest
          ? Effect.fail(payload)
          : Effect.provideService(handler, AgentSession, connection.session)
      })
    )
  )
)

export const layer = Layer.merge(handlers, sessions)
