/** What the platform does not offer of the connection that a request came over. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Array as Arr, Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Socket } from "effect/socket"

type Request = HttpServerRequest.HttpServerRequest

const socketOf = (request: Request) => NodeHttpServerRequest.toIncomingMessage(request).socket

const pingFrame = Uint8Array.of(0x89, 0)

/**
 * Pings the client, and succeeds when anything arrives from it. A ping without content is two bytes, which may stand
 * between any two frames (RFC 6455, 5.5); every client answers it by itself. Frames are written whole, so that these
 * bytes never come to stand within one. While the request is no WebSocket yet it has only just arrived: that is an answer.
 */
export const ping = (request: Request): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const socket = socketOf(request)
    // whoever listened first would take what is meant for the WebSocket
    if (socket.listenerCount("data") === 0) return resume(Effect.void)
    const onData = () => resume(Effect.void)
    socket.once("data", onData)
    if (socket.writable) socket.write(pingFrame)
    return Effect.sync(() => socket.off("data", onData))
  })

/**
 * Waits until the network has taken what was written over the WebSocket of a request. The WebSocket itself takes
 * everything at once, and keeps for as long as it lives what the client does not.
 */
export const drained = (request: Request): Effect.Effect<void> => {
  const socket = socketOf(request)
  const drain = Effect.callback<void>((resume) => {
    const onDrain = () => resume(Effect.void)
    socket.once("drain", onDrain)
    return Effect.sync(() => socket.off("drain", onDrain))
  })
  return Effect.suspend(() => (socket.writableNeedDrain ? drain : Effect.void))
}

/**
 * The same request with a WebSocket that hands out one frame at a time, each once `ready` has succeeded and the client has
 * taken what was written. What it sends meanwhile stays with it and the network, but for 64 KiB.
 */
export const paced = (request: Request, ready: Effect.Effect<void>): Request =>
  Object.create(request, {
    upgrade: {
      value: Effect.map(request.upgrade, (socket) => pacedSocket(socket, Effect.andThen(ready, drained(request))))
    }
  }) as Request

const pacedSocket = (socket: Socket.Socket, ready: Effect.Effect<void>): Socket.Socket => ({
  ...socket,
  reader: Effect.map(socket.reader, (reader) => {
    // those that have come and are still to be handed out, the last one first
    const frames: Array<Uint8Array | string> = []
    const pull = Effect.suspend(() => {
      const frame = frames.pop()
      if (frame !== undefined) return Effect.succeed(Arr.of(frame))
      return Effect.map(reader.pull, (pulled) => {
        for (let index = pulled.length - 1; index > 0; index--) frames.push(pulled[index]!)
        return Arr.of(pulled[0])
      })
    })
    return { ...reader, pull: Effect.andThen(ready, pull) }
  })
})

const authenticated = "authenticated"

/** Says that whoever is at the other end has shown who they are. */
export const vouch = (request: Request): Effect.Effect<void> =>
  Effect.sync(() => void socketOf(request).emit(authenticated))

/** Calls `listener` when somebody vouches for the connection. */
export const onVouched = (socket: NodeJS.EventEmitter, listener: () => void) => socket.once(authenticated, listener)
