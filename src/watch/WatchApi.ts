/**
 * The contract of reading what agents report: metadata and logs, once or live, as server-sent events and metadata over a
 * WebSocket too.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { AgentLog, LogId } from "../domain/AgentLog.ts"
import { AgentId } from "../domain/Ids.ts"
import { MetadataView } from "../domain/MetadataView.ts"
import { Lifecycle } from "./LogReader.ts"

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

/** Logs cannot be read, or not be followed. */
export class LogsUnavailable extends Schema.TaggedError<LogsUnavailable>()(
  "LogsUnavailable",
  { message: Schema.String, detail: Schema.String },
  { httpApiStatus: 500 }
) {}

const Logs = Schema.Array(AgentLog)

/** What a watcher of logs is sent: new lines, how far the agent has come, why the watch is over, or a sign of life. */
export const LogEvent = Schema.Union([
  Schema.Struct({ type: Schema.Literal("logs"), data: Logs }),
  Schema.Struct({ type: Schema.Literal("lifecycle"), data: Lifecycle }),
  Schema.Struct({ type: Schema.Literal("error"), data: Failure }),
  Schema.Struct({ type: Schema.Literal("ping") })
])
export type LogEvent = typeof LogEvent.Type

/**
 * The same as server-sent events, whose data is JSON. Lines have the number of the last one as their id: a browser that
 * connects again names it, and gets what comes after it.
 */
export const LogSse = Schema.Union([
  Schema.Struct({ id: Schema.String, event: Schema.Literal("logs"), data: Schema.fromJsonString(Logs) }),
  Schema.Struct({ event: Schema.Literal("lifecycle"), data: Schema.fromJsonString(Lifecycle) }),
  Schema.Struct({ event: Schema.Literal("error"), data: Schema.fromJsonString(Failure) }),
  Schema.Struct({ event: Schema.Literal("ping"), data: Schema.Literal("") })
])

const LogIdFromString = Schema.FiniteFromString.pipe(Schema.decodeTo(LogId))

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
      }).annotate(OpenApi.Summary, "Watch the metadata of an agent over a WebSocket, whose messages are JSON"),
      HttpApiEndpoint.get("logs", "/api/v2/workspaceagents/:agent/logs", {
        params,
        query: {
          /** Only lines above this number. Default: all. */
          after: Schema.optionalKey(LogIdFromString),
          /** Whether to go on with what is new, as server-sent events. Without it a page of lines is the answer. */
          follow: Schema.optionalKey(Schema.Literals(["", "true", "false"]))
        },
        headers: {
          /** Where a browser goes on that had to connect again; it counts more than `after`. */
          "last-event-id": Schema.optionalKey(LogIdFromString)
        },
        success: [Logs, HttpApiSchema.StreamSse({ events: LogSse })],
        error: [AgentNotFound, AccessUnavailable, LogsUnavailable]
      }).annotate(OpenApi.Summary, "Read a page of what an agent logs, or follow it as server-sent events")
    )
    .middleware(ReaderAuthentication)
    .middleware(HttpApiMiddleware.ProblemDetails)
)
