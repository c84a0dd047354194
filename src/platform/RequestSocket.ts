/** Pings, pacing, closing, serving and authentication of the connection that a request came over: the platform offers none. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, type Exit, type Fiber, Scope } from "effect"
import { HttpEffect, type HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Socket } from "effect/socket"
import { webSocketOf } from "./ByteWebSocket.ts"
import { closeEvent, type CloseReason } from "./CloseCode.ts"

type Request = HttpServerRequest.HttpServerRequest

/** The TCP connection of a request. */
export const tcpOf = (request: Request) => NodeHttpServerRequest.toIncomingMessage(request).socket

/** Returns whether a request asks for a WebSocket. */
export const asksForWebSocket = ({ headers }: Request): boolean => headers["upgrade"]?.toLowerCase() === "websocket"

/**
 * Pings the client of a WebSocket and calls `answered` when anything arrives from it; every client answers a ping by
 * itself. Calls it at once while the request is no WebSocket yet: it has only just arrived. Returns what forgets the ping.
 */
export const pingUnsafe = (request: Request, answered: () => void): (() => void) => {
  const tcp = tcpOf(request)
  const webSocket = webSocketOf(tcp)
  if (webSocket === undefined) {
    answered()
    return () => {}
  }
  tcp.once("data", answered)
  if (webSocket.readyState === webSocket.OPEN) webSocket.ping()
  return () => void tcp.off("data", answered)
}

/** Pings the client of a WebSocket, and returns when it has answered: see {@link pingUnsafe}. */
export const ping = (request: Request): Effect.Effect<void> =>
  Effect.callback((resume) => Effect.sync(pingUnsafe(request, () => resume(Effect.void))))

/**
 * Pings the client of a WebSocket and returns when its pong has arrived. All that the client has sent before the ping has
 * arrived by then. Returns at once while the request is no WebSocket yet.
 */
export const roundTrip = (request: Request): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const webSocket = webSocketOf(tcpOf(request))
    if (webSocket === undefined) return resume(Effect.void)
    const content = String(pings++)
    const onPong = (echo: Uint8Array) => {
      if (Buffer.from(echo).toString() === content) resume(Effect.void)
    }
    webSocket.on("pong", onPong)
    if (webSocket.readyState === webSocket.OPEN) webSocket.ping(content)
    return Effect.sync(() => webSocket.off("pong", onPong))
  })

let pings = 0

/** Closes the WebSocket of a request, if there is one. */
export const closeWebSocket = (request: Request, { code, reason }: Socket.CloseEvent): Effect.Effect<void> =>
  Effect.sync(() => webSocketOf(tcpOf(request))?.close(code, reason))

/**
 * Closes the WebSocket of a request with the code for the way in which its service ends: 1012 when it is interrupted,
 * because the service stops; 1011 after a timeout or a defect. The platform closes it with 1000 otherwise.
 */
export const closeAtEnd =
  (request: Request) =>
  <A, E extends { readonly _tag: string }, R>(serve: Effect.Effect<A, E, R>) => {
    const close = (reason: CloseReason, text: string) => closeWebSocket(request, closeEvent(reason, text))
    return serve.pipe(
      Effect.tapError((error) =>
        error._tag === "TimeoutError" ? close("failure", "the client took or sent nothing") : Effect.void
      ),
      Effect.tapDefect(() => close("failure", "failure of the service")),
      Effect.onInterrupt(() => close("restart", "the service stops"))
    )
  }

/** The fibers that serve WebSockets. */
const serving = new WeakMap<object, Fiber.Fiber<unknown, unknown>>()

/** Records the fiber that serves the WebSocket of a request, for {@link endWebSocket}. The last one counts. */
export const setServing = (request: Request, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.sync(() => void serving.set(tcpOf(request), fiber))

/** Closes the WebSocket of a request, and interrupts the fiber that serves it. */
export const endWebSocket = (request: Request, event: Socket.CloseEvent): Effect.Effect<void> =>
  Effect.andThen(
    closeWebSocket(request, event),
    Effect.sync(() => serving.get(tcpOf(request))?.interruptUnsafe())
  )

/**
 * Serves the WebSocket of a request in a fiber that `run` starts, beyond the request: nothing of that is kept but its
 * scope, which closes when `serve` ends.
 */
export const serveDetached = Effect.fnUntraced(function* (
  request: Request,
  run: (serve: Effect.Effect<void>) => Fiber.Fiber<void>,
  serve: Effect.Effect<void>
) {
  const scope = yield* Effect.scope
  HttpEffect.scopeDisableClose(scope)
  const close = (exit: Exit.Exit<void>) => Scope.close(scope as Scope.Closeable, exit)
  yield* setServing(request, run(Effect.onExit(serve, close)))
  return HttpServerResponse.empty()
})

/**
 * Waits until the network has taken what was written over the WebSocket of a request, or the connection has closed. The
 * WebSocket itself accepts any amount at once, and holds in memory what the client has not taken.
 */
export const drained = (request: Request): Effect.Effect<void> => {
  const tcp = tcpOf(request)
  const drain = Effect.callback<void>((resume) => {
    const waiters = draining.get(tcp) ?? awaitDrain(tcp)
    const onEnd = () => resume(Effect.void)
    waiters.add(onEnd)
    return Effect.sync(() => void waiters.delete(onEnd))
  })
  return Effect.suspend(() => (tcp.writableNeedDrain ? drain : Effect.void))
}

/** Those who wait for a TCP connection to drain or close: one for each of its streams, and one listener for them all. */
const draining = new WeakMap<NodeJS.EventEmitter, Set<() => void>>()

const awaitDrain = (tcp: NodeJS.EventEmitter): Set<() => void> => {
  const waiters = new Set<() => void>()
  draining.set(tcp, waiters)
  const onEnd = () => {
    draining.delete(tcp)
    tcp.off("drain", onEnd).off("close", onEnd)
    for (const waiter of waiters) waiter()
  }
  tcp.on("drain", onEnd).on("close", onEnd)
  return waiters
}

const authenticated = "authenticated"

/** Records that the client of a connection has shown a valid token. */
export const markAuthenticated = (request: Request): Effect.Effect<void> =>
  Effect.sync(() => void tcpOf(request).emit(authenticated))

/** Calls `listener` when the client of a connection has shown a valid token. */
export const onAuthenticated = (tcp: NodeJS.EventEmitter, listener: () => void) => tcp.once(authenticated, listener)
