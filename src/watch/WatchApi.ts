/** The contract of reading metadata: once, or live as server-sent events or over a WebSocket. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { AgentId } from "../domain/Ids.ts"
import { MetadataView } from "../domain/MetadataView.ts"

/** Metadata cannot be read, or its changes not be followed. */
export class MetadataUnavailable extends Schema.TaggedError<MetadataUnavailable>()(
  "MetadataUnavailable",
  { message: Schema.String, detail: Schema.String },
  { httpApiStatus: 500 }
) {}

const Data = Schema.Array(MetadataView)
const Failure = Schema.Struct({ message: Schema.String, detail: Schema.String })

/** What a watcher is sent: all metadata of the agent, why the watch is over, or a sign of life. */
export const WatchEvent = Schema.Union([
  Schema.Struct({ type: Schema.Literal("data"), data: Data }),
  Schema.Struct({ type: Schema.Literal("error"), data: Failure }),
  Schema.Struct({ type: Schema.Literal("ping") })
])
export type WatchEvent = typeof WatchEvent.Type

/** The same as server-sent events, whose data is JSON. */
export const WatchSse = Schema.Union([
  Schema.Struct({ event: Schema.Literal("data"), data: Schema.fromJsonString(Data) }),
  Schema.Struct({ event: Schema.Literal("error"), data: Schema.fromJsonString(Failure) }),
  Schema.Struct({ event: Schema.Literal("ping"), data: Schema.Literal("") })
])

const params = { agent: AgentId }
const error = [AgentNotFound, AccessUnavailable, MetadataUnavailable]

export const WatchApi = HttpApi.make("watch").add(
  HttpApiGroup.make("watch")
    .add(
      HttpApiEndpoint.get("read", "/api/v2/workspaceagents/:agent/metadata", {
        params,
        success: Data,
        error
      }).annotate(OpenApi.Summary, "Read the metadata of an agent"),
      HttpApiEndpoint.get("watch", "/api/v2/workspaceagents/:agent/watch-metadata", {
        params,
        success: HttpApiSchema.StreamSse({ events: WatchSse }),
        error
      }).annotate(OpenApi.Summary, "Watch the metadata of an agent, as server-sent events"),
      HttpApiEndpoint.get("watchWebSocket", "/api/v2/workspaceagents/:agent/watch-metadata-ws", {
        params,
        success: HttpApiSchema.NoContent,
        error
      }).annotate(OpenApi.Summary, "Watch the metadata of an agent over a WebSocket, whose messages are JSON")
    )
    .middleware(ReaderAuthentication)
    .middleware(HttpApiMiddleware.ProblemDetails)
)
