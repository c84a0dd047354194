/**
 * Tracks the sockets of one pool, so that connections that are dead or lead to the wrong server are closed before a
 * statement uses them.
 *
 * - When a statement exceeds its timeout, every connection that has received nothing since the statement began is
 *   suspect. A suspect connection is closed at once if it is idle, and after 2 s without data if it is busy: within 2 s
 *   a living server confirms the cancellation of the statement.
 * - When a server rejects a statement because it is read-only, every connection that is older than 5 s is closed as
 *   soon as it is idle, and the next host is tried.
 * - The hosts are tried in turn: when a connection cannot be opened, the next connection tries the next host.
 */
import { Clock, Effect, FiberSet, type Scope } from "effect"
import * as Net from "node:net"
import * as MonotonicClock from "../../../platform/MonotonicClock.ts"
import type { Host } from "./target.ts"

/** The traffic of each socket at one moment. */
export type Mark = ReadonlyMap<Net.Socket, Traffic>

interface Traffic {
  readonly read: number
  readonly written: number
}

export interface Sockets {
  /** Opens a socket to the current host. */
  readonly open: () => Net.Socket
  readonly mark: () => Mark
  /** Call this when a statement exceeded its timeout, with the mark taken when the statement began. */
  readonly distrust: (mark: Mark) => void
  /** Call this when the server does not accept writes. */
  readonly leave: () => void
}

const silence = "2 seconds"
const minAgeMillis = 5_000

export const make = Effect.fnUntraced(function* (
  hosts: ReadonlyArray<Host>,
  keepAliveMillis: number
): Effect.fn.Return<Sockets, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime()
  const monotonicMillis = () => MonotonicClock.millisUnsafe(clock)
  const openedAt = new Map<Net.Socket, number>()
  let turn = 0

  const host = () => hosts[turn % hosts.length]!

  const open = () => {
    const { host: name, port } = host()
    const now = turn
    const socket = name.startsWith("/")
      ? Net.connect({ path: `${name}/.s.PGSQL.${port}` })
      : Net.connect({ host: name, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMillis })
    let isConnected = false
    openedAt.set(socket, monotonicMillis())
    socket.once("connect", () => void (isConnected = true))
    socket.once("close", () => {
      openedAt.delete(socket)
      if (!isConnected && turn === now) turn++
    })
    return socket
  }

  const mark = (): Mark =>
    new Map([...openedAt.keys()].map((socket) => [socket, { read: socket.bytesRead, written: socket.bytesWritten }]))

  /** Closes the sockets without any traffic since the mark; with `isSilent`, those that have received nothing since. */
  const close = (since: Mark, isSilent: boolean) => {
    for (const [socket, { read, written }] of since) {
      if (openedAt.has(socket) && socket.bytesRead === read && (isSilent || socket.bytesWritten === written)) {
        socket.destroy()
      }
    }
  }

  const leave = Effect.gen(function* () {
    turn++
    const old = [...openedAt].flatMap(([socket, at]) => (monotonicMillis() - at >= minAgeMillis ? [socket] : []))
    for (let round = 0; round < 50 && old.some((socket) => openedAt.has(socket)); round++) {
      const marked = mark()
      yield* Effect.sleep("50 millis")
      close(new Map([...marked].filter(([socket]) => old.includes(socket))), false)
    }
  })

  return {
    open,
    mark,
    distrust: (since) => {
      close(since, false)
      fork(
        Effect.delay(
          Effect.sync(() => close(since, true)),
          silence
        )
      )
    },
    leave: () => void fork(leave)
  }
})
