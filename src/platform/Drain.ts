/**
 * Empties an HTTP server before it stops, so that its clients move to other servers one by one.
 *
 * - The server accepts no more connections. Requests that are being handled go on.
 * - WebSockets are closed with 1012, and streams of events end, spread evenly over a time. Clients reconnect after both.
 */
import { Context, Duration, Effect } from "effect"
import type * as Http from "node:http"
import type { Socket } from "node:net"
import { webSocketOf } from "./ByteWebSocket.ts"
import { closeCodes } from "./CloseCode.ts"

export class Drain extends Context.Service<
  Drain,
  {
    /** Empties the server within `time`, or at once when `hastened` succeeds. */
    readonly run: (time: Duration.Duration, hastened: Effect.Effect<void>) => Effect.Effect<void>
  }
>()("metadata-batcher/platform/Drain") {}

/** The time between two groups of connections that are closed together. */
const interval = Duration.millis(100)

/** Follows the connections of a server that does not listen yet. */
export const make = (server: Http.Server): Drain["Service"] => {
  const connections = new Map<Socket, Http.ServerResponse | undefined>()
  server.on("connection", (socket) => {
    connections.set(socket, undefined)
    socket.on("close", () => connections.delete(socket))
  })
  server.on("request", ({ socket }, response) => void connections.set(socket, response))

  const lasting = () => [...connections].filter(([socket, response]) => webSocketOf(socket) || isStream(response))

  return Drain.of({
    run: Effect.fnUntraced(function* (time, hastened) {
      if (server.listening) server.close()
      const open = lasting()
      const groups = Math.max(1, Math.ceil(Duration.toMillis(time) / Duration.toMillis(interval)))
      const size = Math.ceil(open.length / groups)
      const closeSlowly = Effect.gen(function* () {
        while (open.length > 0) {
          for (const [socket] of open.splice(0, size)) close(socket)
          yield* Effect.sleep(interval)
        }
      })
      yield* Effect.raceFirst(closeSlowly, hastened)
      for (const [socket] of lasting()) close(socket)
    })
  })
}

const isStream = (response: Http.ServerResponse | undefined): boolean =>
  response !== undefined && String(response.getHeader("content-type")).startsWith("text/event-stream")

const close = (socket: Socket): void => {
  const webSocket = webSocketOf(socket)
  if (webSocket === undefined) socket.destroySoon()
  else webSocket.close(closeCodes.restart, "the service drains")
}
