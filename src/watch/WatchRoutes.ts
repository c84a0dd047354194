/**
 * Reading metadata and logs once, the two faces of a watch of metadata, and the one of a watch of logs.
 *
 * - Readers show the token of a user who may read the agent.
 * - A watch that cannot begin is answered with 500 and no stream.
 * - A watch ends when the client leaves. It waits for a client that does not take what was sent, though not for ever: a
 *   connection over which nothing has moved for `patience` is closed.
 */
import { type Duration, Effect, Layer, Stream } from "effect"
import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { Access } from "../access/Access.ts"
import * as Authentication from "../access/Authentication.ts"
import { LogId } from "../domain/AgentLog.ts"
import type { AgentId } from "../domain/Ids.ts"
import { drained } from "../platform/RequestSocket.ts"
import { LogWatch } from "./LogWatch.ts"
import { MetadataWatch } from "./MetadataWatch.ts"
import { type LogEvent, type LogSse, WatchApi, type WatchEvent, type WatchSse } from "./WatchApi.ts"

export interface Options {
  /** How long the client of a WebSocket may take nothing of what was sent. Default: 1 minute. */
  readonly patience?: Duration.Input | undefined
}

const handlers = ({ patience = "1 minute" }: Options) =>
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
        .handle("watch", ({ params }) => Effect.map(unbuffered(watched(params.agent)), Stream.map(toSse)))
        .handle(
          "logs",
          Effect.fnUntraced(function* ({ headers, params: { agent }, query }) {
            yield* mayRead(agent)
            const after = headers["last-event-id"] ?? query.after ?? LogId.make(0)
            if (query.follow === undefined || query.follow === "false") return yield* logs.read(agent, after)
            return Stream.map(yield* unbuffered(logs.open(agent, after)), toLogSse)
          })
        )
        .handleRaw("watchWebSocket", ({ params, request }) =>
          request.headers["upgrade"]?.toLowerCase() === "websocket"
            ? Effect.flatMap(watched(params.agent), overWebSocket(patience))
            : Effect.succeed(upgradeRequired)
        )
    })
  )

export const layer = (options: Options = {}) =>
  HttpApiBuilder.layer(WatchApi).pipe(
    Layer.provide(handlers(options)),
    Layer.provide([Authentication.layerReader, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
  )

// without these a proxy may hold the events back
const unbuffered = <A, E, R>(answer: Effect.Effect<A, E, R>) =>
  Effect.tap(answer, () =>
    HttpEffect.appendPreResponseHandler((_, response) =>
      Effect.succeed(
        HttpServerResponse.setHeaders(response, { "cache-control": "no-cache", "x-accel-buffering": "no" })
      )
    )
  )

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

const overWebSocket = (patience: Duration.Input) => (events: Stream.Stream<WatchEvent>) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = yield* request.upgrade
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.raceFirst(
      Stream.runForEach(events, (event) =>
        Effect.andThen(write(JSON.stringify(event)), Effect.timeout(drained(request), patience))
      ),
      Effect.forever(pull)
    )
  }).pipe(
    // the client has gone, or never came: there is nobody left to tell
    Effect.ignore({ log: "Debug", message: "the connection of a watcher ended" }),
    Effect.as(HttpServerResponse.empty())
  )

const upgradeRequired = HttpServerResponse.jsonUnsafe(
  { _tag: "UpgradeRequired", message: "this address speaks WebSocket; without -ws at its end it sends events" },
  { status: 426, headers: { upgrade: "websocket" } }
)
