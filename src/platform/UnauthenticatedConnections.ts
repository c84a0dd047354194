/**
 * Limits the connections whose clients have not shown a valid token.
 *
 * - A connection waits while none of its requests is being handled. At the limit, the connection that has waited longest
 *   is closed to make room for a new one: silent clients keep nobody out.
 * - A connection that has waited for less than {@link graceMillis} makes no room: its request may be on its way. If there
 *   is no other, the new connection is closed.
 * - A connection whose request is being handled is never closed for a new one, because it is nearer to its result.
 */
import type { Clock } from "effect"
import type { EventEmitter } from "node:events"
import type { Socket } from "node:net"
import * as MonotonicClock from "./MonotonicClock.ts"
import { onAuthenticated } from "./RequestSocket.ts"

/** The time that every client has for its request. */
export const graceMillis = 100

export interface Options {
  readonly maxConnections: number
  readonly clock: Clock.Clock
  /** Called for each connection that is closed because of the limit. */
  readonly onClosed: () => void
}

export const make = ({ clock, maxConnections, onClosed }: Options) => {
  /** The connections, each with the number of its requests that are being handled. */
  const connections = new Map<Socket, number>()
  /** The times since which connections have waited, the longest wait first. */
  const waitingSince = new Map<Socket, number>()

  const leave = (socket: Socket) => {
    connections.delete(socket)
    waitingSince.delete(socket)
  }

  const close = (socket: Socket) => {
    leave(socket)
    onClosed()
    socket.destroy()
  }

  const longestWaiting = (): Socket | undefined => {
    const [first] = waitingSince
    return first !== undefined && MonotonicClock.millisUnsafe(clock) - first[1] >= graceMillis ? first[0] : undefined
  }

  const makeRoomFor = (socket: Socket) => {
    if (connections.size > maxConnections && connections.has(socket)) close(longestWaiting() ?? socket)
  }

  const wait = (socket: Socket) => {
    connections.set(socket, 0)
    waitingSince.set(socket, MonotonicClock.millisUnsafe(clock))
  }

  return {
    /** Counts a new connection, until it is closed or its client has shown a valid token. */
    enter: (socket: Socket): void => {
      wait(socket)
      socket.on("close", () => leave(socket))
      onAuthenticated(socket, () => leave(socket))
      if (connections.size <= maxConnections) return
      if (longestWaiting() === undefined) close(socket)
      // a process that was busy has yet to read requests that have arrived: it reads them before it makes room
      else setImmediate(makeRoomFor, socket)
    },

    /** Counts a request of a connection as being handled, until `emitter` emits `event`. */
    handle: (socket: Socket, emitter: EventEmitter, event: string): void => {
      const running = connections.get(socket)
      if (running === undefined) return
      connections.set(socket, running + 1)
      waitingSince.delete(socket)
      emitter.once(event, () => {
        const running = connections.get(socket)
        if (running === 1) wait(socket)
        else if (running !== undefined) connections.set(socket, running - 1)
      })
    }
  }
}
