/** The address where agents connect: a WebSocket behind it carries the calls of the agent API. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentAuthentication } from "../access/Authentication.ts"
import { fields, RequestValidation } from "../platform/ErrorResponse.ts"

export const path = "/api/v2/workspaceagents/me/rpc"

/** The WebSocket subprotocol of the contract in JSON. Without one an agent speaks the original's protocol. */
export const subprotocol = "metadata-batcher.v1"

/** The agent asks for a protocol or a version that the service does not speak, or cannot be served now. */
export class ConnectionRefused extends Schema.TaggedError<ConnectionRefused>()("ConnectionRefused", fields, {
  httpApiStatus: 400
}) {}

/** The service cannot read the data that it needs to serve an agent. */
export class SessionUnavailable extends Schema.TaggedError<SessionUnavailable>()(
  "SessionUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

export const AgentSocketApi = HttpApi.make("agent").add(
  HttpApiGroup.make("agent")
    .add(
      HttpApiEndpoint.get("connect", path, {
        query: {
          /** The version of the agent API that the agent speaks. Default 2.0. */
          version: Schema.optionalKey(Schema.String),
          /**
           * The role of the connection. Only the role `agent` changes the recorded connection times. Default `agent`.
           */
          role: Schema.optionalKey(Schema.String)
        },
        success: HttpApiSchema.NoContent,
        error: [ConnectionRefused, SessionUnavailable]
      }).annotate(
        OpenApi.Summary,
        "Connect as an agent: upgrades to a WebSocket that carries the calls of the agent API"
      )
    )
    .middleware(AgentAuthentication)
    .middleware(RequestValidation)
)
