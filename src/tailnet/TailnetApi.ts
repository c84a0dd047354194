/** Where clients of people reach the tailnet: coordination over WebSockets, and what a connection to an agent takes. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { AgentId } from "../domain/Ids.ts"
import { fields, RequestValidation } from "../platform/ErrorResponse.ts"
import { DerpMap } from "./DerpMap.ts"

/** The client asks for a version that the service does not speak. */
export class TailnetRefused extends Schema.TaggedError<TailnetRefused>()("TailnetRefused", fields, {
  httpApiStatus: 400
}) {}

/** The resume token is not valid; the client connects again without it. */
export class ResumeTokenRefused extends Schema.TaggedError<ResumeTokenRefused>()("ResumeTokenRefused", fields, {
  httpApiStatus: 401
}) {}

const query = {
  /** The version of the tailnet API that the client speaks. */
  version: Schema.optionalKey(Schema.String),
  /** The token that the client got in an earlier connection, to be the same peer again. */
  resume_token: Schema.optionalKey(Schema.String)
}

const params = { agent: AgentId }

/** The facts that a client needs before it connects to an agent. */
export const ConnectionInfo = Schema.Struct({
  derp_map: DerpMap,
  derp_force_websockets: Schema.Boolean,
  disable_direct_connections: Schema.Boolean
})

const refusals = [TailnetRefused, ResumeTokenRefused, AccessUnavailable]

const calls =
  "The binary messages carry yamux, and its streams the calls of `coder.tailnet.v2.Tailnet` over dRPC: `Coordinate`, `StreamDERPMaps`, `PostTelemetry`, `RefreshResumeToken` and `WorkspaceUpdates`."

const ends =
  "The connection is closed with 1008 when its token, or the right to an agent that it has a tunnel to, is gone; with 1011 when the client leaves pings without a pong for 30 s; with 1002 when it breaks the protocol; and with 1012 when the service stops."

const connectionFacts =
  "Returns the relays as a DERP map in JSON, whether they are reached by WebSocket alone, and whether peers may connect directly."

export const TailnetApi = HttpApi.make("tailnet")
  .add(
    HttpApiGroup.make("tailnet")
      .add(
        HttpApiEndpoint.get("coordinate", "/api/v2/workspaceagents/:agent/coordinate", {
          params,
          query,
          success: HttpApiSchema.NoContent,
          error: [...refusals, AgentNotFound]
        }).annotateMerge(
          OpenApi.annotations({
            summary: "Coordinate with one agent: upgrades to a WebSocket that carries the tailnet API",
            description: `${calls} A client that names no version is refused. Its tunnels may lead to that agent alone. ${ends}`
          })
        ),
        HttpApiEndpoint.get("tailnet", "/api/v2/tailnet", {
          query,
          success: HttpApiSchema.NoContent,
          error: refusals
        }).annotateMerge(
          OpenApi.annotations({
            summary: "Coordinate with all agents of a user: upgrades to a WebSocket that carries the tailnet API",
            description: `${calls} Tunnels may lead to every agent that the user may reach. ${ends}`
          })
        ),
        HttpApiEndpoint.get("agentConnection", "/api/v2/workspaceagents/:agent/connection", {
          params,
          success: ConnectionInfo,
          error: [AgentNotFound, AccessUnavailable]
        }).annotateMerge(
          OpenApi.annotations({ summary: "Read what a connection to an agent takes", description: connectionFacts })
        ),
        HttpApiEndpoint.get("connection", "/api/v2/workspaceagents/connection", {
          success: ConnectionInfo,
          error: [AccessUnavailable]
        }).annotateMerge(
          OpenApi.annotations({ summary: "Read what a connection to any agent takes", description: connectionFacts })
        )
      )
      .middleware(ReaderAuthentication)
      .middleware(RequestValidation)
  )
  .add(
    HttpApiGroup.make("relays").add(
      HttpApiEndpoint.get("derpMap", "/api/v2/derp-map", { success: HttpApiSchema.NoContent }).annotateMerge(
        OpenApi.annotations({
          summary: "Follow the DERP map: upgrades to a WebSocket that carries each map as JSON in a binary message",
          description:
            "The first message is the present map, and each later one a map that differs. No token is needed. The connection is closed with 1011 when the client leaves pings without a pong for 30 s, and with 1012 when the service stops."
        })
      )
    )
  )
