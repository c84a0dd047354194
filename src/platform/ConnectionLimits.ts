/**
 * What connections to the service may take of it, whoever is at the other end.
 *
 * - There are at most `maxConnections`. Further ones are closed at once.
 * - At most `maxUnauthenticatedConnections` of them belong to somebody who has not shown a valid token over them. When there are more, the
 *   one that has been there longest is closed: whoever has a token shows it at once.
 * - A request that has not arrived as a whole within `requestTimeout` is answered with 408 and its connection closed.
 * - A connection over which nothing has moved for `idleTimeout`, in either direction, is closed. WebSockets are no longer
 *   this module's: whoever serves them has to find out.
 * - Every connection that is closed for one of the first two reasons is counted.
 */
import { Duration, Effect, Metric } from "effect"
import * as Http from "node:http"
import type { Socket } from "node:net"
import { onVouched } from "./RequestSocket.ts"

export interface ConnectionLimits {
  readonly maxConnections: number
  readonly maxUnauthenticatedConnections: number
  readonly requestTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
}

const closed = Metric.counter("metadata_batcher_closed_connections_total", {
  description: "Connections that were closed because there were too many, by which were too many.",
  incremental: true
})

/** The connections that were closed because there were too many of all, or of strangers. */
export const closedConnections = {
  all: Metric.withAttributes(closed, { reason: "connections" }),
  strangers: Metric.withAttributes(closed, { reason: "unauthenticated" })
}

/** A server that keeps to the limits; it does not listen yet. */
export const makeServer = ({
  idleTimeout,
  maxConnections,
  maxUnauthenticatedConnections,
  requestTimeout
}: ConnectionLimits) =>
  Effect.map(Effect.context<never>(), (context) => {
    const timeout = Duration.toMillis(requestTimeout)
    const server = Http.createServer({
      headersTimeout: timeout,
      requestTimeout: timeout,
      connectionsCheckingInterval: Math.min(timeout, 1_000)
    })
    server.maxConnections = maxConnections
    server.timeout = Duration.toMillis(idleTimeout)
    for (const metric of Object.values(closedConnections)) metric.updateUnsafe(0, context)

    // in the order of their arrival
    const strangers = new Set<Socket>()
    server.on("drop", () => closedConnections.all.updateUnsafe(1, context))
    server.on("connection", (socket) => {
      const leave = () => strangers.delete(socket)
      strangers.add(socket)
      socket.once("close", leave)
      onVouched(socket, leave)
      const [oldest] = strangers
      if (strangers.size <= maxUnauthenticatedConnections || oldest === undefined) return
      closedConnections.strangers.updateUnsafe(1, context)
      strangers.delete(oldest)
      oldest.destroy()
    })
    return server
  })
