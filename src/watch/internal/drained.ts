import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"

/**
 * Waits until the network has taken what was written over the WebSocket of a request. The WebSocket itself takes
 * everything at once, and keeps for as long as it lives what the client does not.
 */
export const drained = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
    if (!socket.writableNeedDrain) return resume(Effect.void)
    const onDrain = () => resume(Effect.void)
    socket.once("drain", onDrain)
    return Effect.sync(() => socket.off("drain", onDrain))
  })
