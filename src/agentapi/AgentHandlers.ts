/** All that answers an agent: the sub-APIs, one line each, and the session that they act for. */
import { Effect, Layer, Option } from "effect"
import { AgentApi, SessionOfConnection } from "./AgentApi.ts"
import { InvalidRequest } from "./AgentError.ts"
import { AgentSession } from "./AgentSession.ts"
import * as AnnouncementBanners from "./AnnouncementBanners.ts"
import * as Apps from "./Apps.ts"
import * as BoundaryLogs from "./BoundaryLogs.ts"
import { OnCall } from "./CallRate.ts"
import * as ConnectionLog from "./ConnectionLog.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Logs from "./Logs.ts"
import * as Manifest from "./Manifest.ts"
import * as Metadata from "./Metadata.ts"
import * as Scripts from "./Scripts.ts"
import * as ResourcesMonitoring from "./ResourcesMonitoring.ts"
import * as Stats from "./Stats.ts"
import * as SubAgents from "./SubAgents.ts"

const handlers = AgentApi.toLayer(
  Effect.gen(function* () {
    return AgentApi.of({
      ...(yield* Manifest.make),
      ...(yield* AnnouncementBanners.make),
      ...(yield* Lifecycle.make),
      ...(yield* Apps.make),
      ...(yield* Stats.make),
      ...(yield* Metadata.make),
      ...(yield* Logs.make),
      ...(yield* Scripts.make),
      ...(yield* ConnectionLog.make),
      ...(yield* BoundaryLogs.make),
      ...(yield* ResourcesMonitoring.make),
      ...(yield* SubAgents.make)
    })
  })
)

/** Takes the session from where the route of the connection has put it: the fiber that reads the socket. */
const sessions = Layer.succeed(
  SessionOfConnection,
  SessionOfConnection.of((handler, { payload }) =>
    Effect.andThen(
      Effect.flatten(OnCall),
      payload instanceof InvalidRequest
        ? Effect.fail(payload)
        : Effect.flatMap(
            Effect.serviceOption(AgentSession),
            Option.match({
              onNone: () => Effect.die("a call came over a connection without a session"),
              onSome: (session) => Effect.provideService(handler, AgentSession, session)
            })
          )
    )
  )
)

export const layer = Layer.merge(handlers, sessions)
