/**
 * The contract for reading the metadata and the logs of an agent: once, or live as server-sent events. Metadata can be
 * watched over a WebSocket too.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { BadRequest, RequestValidation } from "../platform/ErrorResponse.ts"
import { AgentLog, LogId } from "../domain/AgentLog.ts"
import { AgentId } from "../domain/Ids.ts"
import { MetadataView } from "../domain/MetadataView.ts"
import { Lifecycle } from "./LogReader.ts"
import { LogsUnavailable } from "./LogWatch.ts"
import { MetadataUnavailable } from "./MetadataWatch.ts"
import { WatchFailure } from "./WatchFailure.ts"

/**
 * The events of a metadata watch as server-sent events with JSON as data. A ping is its `event` line alone; readers that
 * follow the standard do not see it.
 */
export const WatchSse = Schema.Union([
  Schema.Struct({ event: Schema.Literal("data"), data: Schema.fromJsonString(Schema.Array(MetadataView)) }),
  Schema.Struct({ event: Schema.Literal("error"), data: Schema.fromJsonString(WatchFailure) }),
  Schema.Struct({ event: Schema.Literal("ping"), data: Schema.Literal("") })
])

/**
 * The events of a log watch, in the same form. A browser, which accepts `text/event-stream`, gets the number of the last
 * line as the id of lines: it sends the id when it reconnects, and gets the lines after it. The reader of the original's
 * programs takes no ids.
 */
export const LogSse = Schema.Union([
  Schema.Struct({
    id: Schema.optionalKey(Schema.String),
    event: Schema.Literal("logs"),
    data: Schema.fromJsonString(Schema.Array(AgentLog))
  }),
  Schema.Struct({ event: Schema.Literal("lifecycle"), data: Schema.fromJsonString(Lifecycle) }),
  Schema.Struct({ event: Schema.Literal("error"), data: Schema.fromJsonString(WatchFailure) }),
  Schema.Struct({ event: Schema.Literal("ping"), data: Schema.Literal("") })
])

// digits alone, as the original reads it: a number of JavaScript has other forms
const LogIdFromString = Schema.String.check(Schema.isPattern(/^\d*$/)).pipe(
  Schema.decodeTo(Schema.FiniteFromString),
  Schema.decodeTo(LogId)
)

const params = { agent: AgentId }
const error = [AgentNotFound, AccessUnavailable, MetadataUnavailable]

export const WatchApi = HttpApi.make("watch").add(
  HttpApiGroup.make("watch")
    .add(
      HttpApiEndpoint.get("read", "/api/v2/workspaceagents/:agent/metadata", {
        params,
        success: Schema.Array(MetadataView),
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
      }).annotate(OpenApi.Summary, "Watch the metadata of an agent over a WebSocket, whose messages are JSON"),
      HttpApiEndpoint.get("logs", "/api/v2/workspaceagents/:agent/logs", {
        params,
        query: {
          /** Only lines after the line of this number. Default: all. */
          after: Schema.optionalKey(LogIdFromString),
          /** Only lines before the line of this number. Default: all. */
          before: Schema.optionalKey(LogIdFromString),
          /**
           * Whether to follow new lines too: as messages with lists of lines if the request asks for a WebSocket, otherwise as
           * server-sent events. Without it the response is the stored lines.
           */
          follow: Schema.optionalKey(Schema.Literals(["", "true", "false"])),
          /** The form of stored lines: a list, or text with a line for each. Default: a list. */
          format: Schema.optionalKey(Schema.Literals(["json", "text"])),
          /** Accepted and ignored: nothing is compressed. */
          no_compression: Schema.optionalKey(Schema.String)
        },
        headers: {
          /** The line after which a browser that reconnects goes on. It has precedence over `after`. */
          "last-event-id": Schema.optionalKey(LogIdFromString)
        },
        success: [Schema.Array(AgentLog), HttpApiSchema.StreamSse({ events: LogSse })],
        error: [AgentNotFound, AccessUnavailable, LogsUnavailable, BadRequest]
      }).annotate(
        OpenApi.Summary,
        "Read the logs of an agent, or follow them over a WebSocket or as server-sent events"
      )
    )
    .middleware(ReaderAuthentication)
    .middleware(RequestValidation)
)
