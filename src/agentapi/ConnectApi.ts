/** Where agents connect: the address behind which a WebSocket carries calls of the agent API. */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentAuthentication } from "../access/Authentication.ts"

export const path = "/api/v2/workspaceagents/me/rpc"

export const ConnectApi = HttpApi.make("agent").add(
  HttpApiGroup.make("agent")
    .add(
      HttpApiEndpoint.get("connect", path, { success: HttpApiSchema.NoContent }).annotate(
        OpenApi.Summary,
        "Connect as an agent: upgrades to a WebSocket that carries the calls of the agent API"
      )
    )
    .middleware(AgentAuthentication)
)
