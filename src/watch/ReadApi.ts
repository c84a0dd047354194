/** The contract for reading what is known of an agent. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { Snapshot } from "../domain/AgentContext.ts"
import { AgentId } from "../domain/Ids.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { Agent } from "./AgentReader.ts"

/** Agents cannot be read now. */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()(
  "AgentUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

/** The agent has sent no context. */
export class ContextNotFound extends Schema.TaggedError<ContextNotFound>()(
  "ContextNotFound",
  { message: Schema.String },
  { httpApiStatus: 404 }
) {}

const params = { agent: AgentId }
const error = [AgentNotFound, AccessUnavailable, AgentUnavailable]

export const ReadApi = HttpApi.make("read").add(
  HttpApiGroup.make("read")
    .add(
      HttpApiEndpoint.get("agent", "/api/v2/workspaceagents/:agent", { params, success: Agent, error }).annotate(
        OpenApi.Summary,
        "Read an agent with its apps, scripts and sources of logs"
      ),
      HttpApiEndpoint.get("context", "/api/v2/workspaceagents/:agent/context", {
        params,
        success: Schema.Struct({ ...Snapshot.fields, received_at: Schema.DateTimeUtcFromString }),
        error: [...error, ContextNotFound]
      }).annotate(OpenApi.Summary, "Read the instruction files, skills and tools that an agent has found")
    )
    .middleware(ReaderAuthentication)
    .middleware(RequestValidation)
)
