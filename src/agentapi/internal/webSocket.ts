/** What the platform does not offer of a request's WebSocket. */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"

const pingFrame = Uint8Array.of(0x89, 0)

/**
 * Pings the client, and succeeds when anything arrives from it. A ping without content is two bytes, which may stand
 * between any two frames (RFC 6455, 5.5); every client answers it by itself. Frames are written whole, so that these
 * bytes never come to stand within one. While the request is no WebSocket yet it has only just arrived: that is an answer.
 */
export const ping = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
    // whoever listened first would take what is meant for the WebSocket
    if (socket.listenerCount("data") === 0) return resume(Effect.void)
    const onData = () => resume(Effect.void)
    socket.once("data", onData)
    if (socket.writable) socket.write(pingFrame)
    return Effect.sync(() => socket.off("data", onData))
  })
