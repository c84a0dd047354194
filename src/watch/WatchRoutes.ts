/**
 * The handlers of {@link WatchApi}: metadata and logs once, metadata watched by events or over a WebSocket, logs by events.
 *
 * - A reader shows the token of a user who may read the agent.
 * - A watch that cannot begin gets status 500 and no stream.
 * - A watch ends when its client leaves. It waits for a slow client: a connection on which nothing moves for `idleTimeout`
 *   is closed.
 * - The client of a WebSocket is pinged every fifteen seconds; one that is silent for three pings is disconnected.
 * - The close code of a WebSocket is one of {@link CloseCode}: restart, or failure.
 */
import { Duration, Effect, Layer, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { Access } from "../access/Access.ts"
import * as Authentication from "../access/Authentication.ts"
import { LogId } from "../domain/AgentLog.ts"
import type { AgentId } from "../domain/Ids.ts"
import * as CloseCode from "../platform/CloseCode.ts"
import * as EventStream from "../platform/EventStream.ts"
import { drained, ping } from "../platform/RequestSocket.ts"
import { upgradeRequired } from "../platform/Responses.ts"
import { type LogEvent, LogWatch } from "./LogWatch.ts"
import { MetadataWatch, type WatchEvent } from "./MetadataWatch.ts"
import { type LogSse, WatchApi, type WatchSse } from "./WatchApi.ts"

export interface Options {
  /** The longest time that the client of a WebSocket may take no data. Default: 1 minute. */
  readonly idleTimeout?: Duration.Input | undefined
}

/** The time from one ping of a WebSocket to the next. */
const pingInterval = Duration.seconds(15)

/** The longest silence of a client that is pinged. */
const maxSilence = Duration.times(pingInterval, 3)

const handlers = ({ idleTimeout = "1 minute" }: Options) =>
  HttpApiBuilder.group(
    WatchApi,
    "watch",
    Effect.fnUntraced(function* (handlers) {
      const access = yield* Access
      const watch = yield* MetadataWatch
      const logs = yield* LogWatch

      const mayRead = Effect.fnUntraced(function* (agentId: AgentId) {
        yield* access.mayRead(yield* Authentication.CurrentUser, agentId)
      })
      const watched = (agentId: AgentId) => Effect.andThen(mayRead(agentId), watch.open(agentId))

      return handlers
        .handle("read", ({ params }) => Effect.andThen(mayRead(params.agent), watch.read(params.agent)))
        .handle("watch", ({ params }) => Effect.map(asEvents(watched(params.agent)), Stream.map(toSse)))
        .handle(
          "logs",
          Effect.fnUntraced(function* ({ headers, params: { agent }, query }) {
            yield* mayRead(agent)
            const after = headers["last-event-id"] ?? query.after ?? LogId.make(0)
            if (query.follow === undefined || query.follow === "false") return yield* logs.read(agent, after)
            return Stream.map(yield* asEvents(logs.open(agent, after)), toLogSse)
          })
        )
        .handleRaw("watchWebSocket", ({ params, request }) =>
          request.headers["upgrade"]?.toLowerCase() === "websocket"
            ? Effect.flatMap(watched(params.agent), overWebSocket(idleTimeout))
            : Effect.succeed(
                upgradeRequired("this address takes WebSockets; use watch-metadata for server-sent events")
              )
        )
    })
  )

export const layer = (options: Options = {}) =>
  HttpApiBuilder.layer(WatchApi).pipe(
    Layer.provide(handlers(options)),
    Layer.provide([Authentication.layerReader, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
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

const toLogSse = (event: LogEvent): typeof LogSse.Type => {
  switch (event.type) {
    case "logs":
      return { id: String(event.data.at(-1)?.id ?? 0), event: "logs", data: event.data }
    case "lifecycle":
      return { event: "lifecycle", data: event.data }
    case "error":
      return { event: "error", data: event.data }
    case "ping":
      return { event: "ping", data: "" }
  }
}

const overWebSocket = (idleTimeout: Duration.Input) => (events: Stream.Stream<WatchEvent>) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = yield* request.upgrade
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader
    const close = (reason: CloseCode.CloseReason, text: string) =>
      Effect.ignore(write(CloseCode.closeEvent(reason, text)))

    const send = Stream.runForEach(events, (event) =>
      Effect.andThen(write(JSON.stringify(event)), Effect.timeout(drained(request), idleTimeout))
    )
    yield* Effect.raceAllFirst([
      // a watch ends by itself only after a failure
      Effect.andThen(send, close("failure", "the watch ended")),
      Effect.forever(pull),
      Effect.forever(Effect.andThen(Effect.sleep(pingInterval), Effect.timeout(ping(request), maxSilence)))
    ]).pipe(
      Effect.tapErrorTag("TimeoutError", () => close("failure", "the client took or sent nothing")),
      Effect.onInterrupt(() => close("restart", "the service stops"))
    )
  }).pipe(
    // the client left, or is unreachable: there is nobody to tell
    Effect.ignore({ log: "Debug", message: "connection of a metadata watcher ended" }),
    Effect.as(HttpServerResponse.empty())
  )
