/**
 * The WebSocket of a request as a stream of bytes, which no fiber reads.
 *
 * - The messages that one turn of the event loop reads are handed over together, at the end of that turn.
 * - Until its reader begins, and while the reader is not ready, the connection is paused: at most 64 KiB and one more
 *   message wait in memory.
 */
import { Effect, Fiber, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Socket } from "effect/socket"
import { setReceiver, webSocketOf } from "./ByteWebSocket.ts"
import * as LeanScope from "./LeanScope.ts"
import { drained, tcpOf } from "./RequestSocket.ts"

/** Whether a reader takes more, besides what the client has not taken of what was written. */
export interface Readiness {
  readonly isReadyUnsafe: () => boolean
  /** Waits until the reader takes more. */
  readonly ready: Effect.Effect<void>
}

export interface RequestBytes {
  /** Writes at once. */
  readonly write: (bytes: Uint8Array) => void
  /** Hands over what arrives, until the WebSocket closes. Fails unless the client has closed it. */
  readonly serve: (receive: (messages: ReadonlyArray<Uint8Array>) => void) => Effect.Effect<void, Socket.SocketError>
}

const alwaysReady: Readiness = { isReadyUnsafe: () => true, ready: Effect.void }

/** Opens the WebSocket of a request, which closes with the scope. */
export const open = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  { isReadyUnsafe, ready }: Readiness = alwaysReady
): Effect.fn.Return<RequestBytes, Socket.SocketError, Scope.Scope> {
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const tcp = tcpOf(request)
  let receive: ((messages: ReadonlyArray<Uint8Array>) => void) | undefined
  let arrived: Array<Uint8Array> = []
  let isPaused = false
  let isOver = false

  const handOver = () => {
    if (isPaused || arrived.length === 0) return
    if (receive === undefined) return pause()
    if (tcp.writableNeedDrain || !isReadyUnsafe()) {
      pause()
      const resumed = Effect.sync(resume)
      return void Fiber.runIn(fork(drained(request).pipe(Effect.andThen(ready), Effect.andThen(resumed))), scope)
    }
    const messages = arrived
    arrived = []
    receive(messages)
  }
  const pause = () => {
    isPaused = true
    webSocketOf(tcp)?.pause()
  }
  const resume = () => {
    isPaused = false
    webSocketOf(tcp)?.resume()
    handOver()
  }

  setReceiver(tcp, (message) => {
    if (!isOver && arrived.push(message) === 1) queueMicrotask(handOver)
  })
  // a WebSocket that is paused would not see that the client closes it as well
  const release = Effect.sync(() => {
    isOver = true
    arrived = []
    resume()
  })
  yield* LeanScope.acquireRelease(Effect.void, () => release)
  const socket = yield* Effect.orDie(request.upgrade)
  const { pull } = yield* socket.reader
  const webSocket = webSocketOf(tcp)
  // the platform asks for copies
  if (webSocket !== undefined) webSocket.binaryType = "nodebuffer"

  return {
    write: (bytes) => webSocket?.send(bytes),
    serve: (take) =>
      Effect.suspend(() => {
        receive = take
        resume()
        return Effect.forever(pull)
      }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))
  }
})
