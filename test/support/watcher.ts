/** A watcher of an agent, over server-sent events or a WebSocket, which bring the same events. */
import { type Cause, Effect, Exit, Queue, Scope, Stream } from "effect"
import { HttpClient } from "effect/http"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"
import { TestService } from "./service.ts"
import * as WebSocket from "./webSocket.ts"

export interface Watcher {
  /** The next event; fails with `Done` when the watch is over. */
  readonly next: Effect.Effect<WatchEvent, Cause.Done>
  /** Goes away, as a client does that was closed. */
  readonly leave: Effect.Effect<void>
}

/** A way to watch an agent. `search` is what follows the path of the address. */
export type Watch = (
  id: string,
  headers?: Headers,
  search?: string
) => Effect.Effect<Watcher, WebSocket.Refused, HttpClient.HttpClient | TestService | Scope.Scope>

type Headers = Readonly<Record<string, string>>

/** An address under that of an agent. */
export const pathOf = (id: string, rest: string) => `/api/v2/workspaceagents/${id}/${rest}`

/** By server-sent events. */
export const overEvents: Watch = Effect.fnUntraced(function* (id: string, headers: Headers = {}, search = "") {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const response = yield* Effect.orDie(HttpClient.get(pathOf(id, `watch-metadata${search}`), { headers }))
  const { status } = response
  if (status !== 200) {
    const body = yield* Effect.orDie(response.text)
    return yield* new WebSocket.Refused({ status, headers: response.headers, body })
  }
  const events = yield* Queue.unbounded<WatchEvent, Cause.Done>()
  yield* response.stream.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.split((line) => line === ""),
    Stream.runForEach((lines) => Queue.offer(events, parse(lines))),
    Effect.ignore,
    Effect.ensuring(Queue.end(events)),
    Effect.forkIn(scope)
  )
  const watcher: Watcher = { next: Queue.take(events), leave: Scope.close(scope, Exit.void) }
  return watcher
})

/** Over a WebSocket. */
export const overWebSocket: Watch = Effect.fnUntraced(function* (id: string, headers: Headers = {}, search = "") {
  const { url } = yield* TestService
  const { close, messages } = yield* WebSocket.connect(`${url}${pathOf(id, `watch-metadata-ws${search}`)}`, headers)
  const watcher: Watcher = {
    next: Effect.map(Queue.take(messages), (text): WatchEvent => JSON.parse(text)),
    leave: close
  }
  return watcher
})

const parse = (lines: ReadonlyArray<string>): WatchEvent => {
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ""
  const data = field("data")
  return { type: field("event"), ...(data === "" ? {} : { data: JSON.parse(data) }) } as WatchEvent
}
