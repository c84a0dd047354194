/**
 * The handlers of {@link WatchApi}: metadata and logs once, and watched by server-sent events or over a WebSocket.
 *
 * - A reader shows the token of a user who may read the agent.
 * - A watch that cannot begin gets status 500 and no stream.
 * - A watch ends when its client leaves. It waits for a slow client.
 * - Stored lines are read page by page while the client takes them. A failure after the first page breaks the response
 *   off.
 */
import { type Duration, Effect, Layer, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Access } from "../access/Access.ts"
import * as Authentication from "../access/Authentication.ts"
import { LogId } from "../domain/AgentLog.ts"
import type { AgentId } from "../domain/Ids.ts"
import { badRequest, layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as EventStream from "../platform/EventStream.ts"
import { asksForWebSocket } from "../platform/RequestSocket.ts"
import { upgradeRequired } from "../platform/Responses.ts"
import { AgentReader } from "./AgentReader.ts"
import * as LogLines from "./internal/logLines.ts"
import { overWebSocket } from "./internal/overWebSocket.ts"
import { type LogEvent, LogWatch, unavailable } from "./LogWatch.ts"
import { MetadataWatch, type WatchEvent } from "./MetadataWatch.ts"
import { type LogSse, WatchApi, type WatchSse } from "./WatchApi.ts"

export interface Options {
  /** The longest time that the client of a WebSocket may take no data. Default: 1 minute. */
  readonly idleTimeout?: Duration.Input | undefined
}

const handlers = ({ idleTimeout = "1 minute" }: Options) =>
  HttpApiBuilder.group(
    WatchApi,
    "watch",
    Effect.fnUntraced(function* (handlers) {
      const access = yield* Access
      const watch = yield* MetadataWatch
      const logs = yield* LogWatch
      const agents = yield* AgentReader

      const mayRead = Effect.fnUntraced(function* (agentId: AgentId) {
        yield* access.mayRead(yield* Authentication.CurrentUser, agentId)
      })
      const describe = (agentId: AgentId) =>
        Effect.mapError(Effect.flatMap(agents.find(agentId), Effect.fromOption), unavailable)
      const watched = (agentId: AgentId) => Effect.andThen(mayRead(agentId), watch.open(agentId))

      return handlers
        .handle("read", ({ params }) => Effect.andThen(mayRead(params.agent), watch.read(params.agent)))
        .handle("watch", ({ params }) => Effect.map(asEvents(watched(params.agent)), Stream.map(toSse)))
        .handle(
          "logs",
          Effect.fnUntraced(function* ({ headers, params: { agent }, query, request }) {
            yield* mayRead(agent)
            const after = headers["last-event-id"] ?? query.after ?? LogId.make(0)
            if (query.follow === undefined || query.follow === "false") {
              const lines = yield* logs.read(agent, after, query.before)
              return query.format === "text" ? LogLines.asText(lines, yield* describe(agent)) : LogLines.asJson(lines)
            }
            for (const name of ["before", "format"] as const) {
              if (query[name] !== undefined && query[name] !== "json") {
                return yield* badRequest(name, "Expected stored lines: it does not go with follow")
              }
            }
            if (asksForWebSocket(request)) {
              const events = yield* logs.open(agent, after)
              return yield* overWebSocket(LogLines.asMessages(events), {
                idleTimeout,
                end: ["forbidden", "the agent is gone"]
              })
            }
            const hasIds = request.headers["accept"]?.includes("text/event-stream") === true
            return Stream.map(yield* asEvents(logs.open(agent, after)), toLogSse(hasIds))
          })
        )
        .handleRaw("watchWebSocket", ({ params, request }) =>
          asksForWebSocket(request)
            ? Effect.flatMap(watched(params.agent), (events) =>
                // a watch ends by itself only after a failure
                overWebSocket(
                  Stream.map(events, (event) => JSON.stringify(event)),
                  { idleTimeout, end: ["failure", "the watch ended"] }
                )
              )
            : Effect.succeed(
                upgradeRequired("this address takes WebSockets; use watch-metadata for server-sent events")
              )
        )
    })
  )

export const layer = (options: Options = {}) =>
  HttpApiBuilder.layer(WatchApi).pipe(
    Layer.provide(handlers(options)),
    Layer.provide([Authentication.layerReader, layerRequestValidation])
  )

const asEvents = <A, E, R>(opened: Effect.Effect<A, E, R>) => Effect.tap(opened, () => EventStream.prepare)

const toSse = (event: WatchEvent): typeof WatchSse.Type => {
  switch (event.type) {
    case "data":
      return { event: "data", data: event.data }
    case "error":
      return { event: "error", data: event.data }
    case "ping":
      return { event: "ping", data: "" }
  }
}

const toLogSse =
  (hasIds: boolean) =>
  (event: LogEvent): typeof LogSse.Type => {
    switch (event.type) {
      case "logs":
        return {
          ...(hasIds ? { id: String(event.data.at(-1)!.id) } : {}),
          event: "logs",
          data: event.data
        }
      case "lifecycle":
        return { event: "lifecycle", data: event.data }
      case "error":
        return { event: "error", data: event.data }
      case "ping":
        return { event: "ping", data: "" }
    }
  }
