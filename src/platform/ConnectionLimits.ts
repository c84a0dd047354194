/**
 * Limits the resources that connections may use, for authenticated and unauthenticated clients alike.
 *
 * - There are at most `maxConnections`. Further ones are closed at once.
 * - At most `maxUnauthenticatedConnections` of them are unauthenticated: see {@link UnauthenticatedConnections}.
 * - A request that has not arrived within `requestTimeout` gets 408, and its connection is closed.
 * - A connection on which nothing has moved for `idleTimeout`, in either direction, is closed, also between two
 *   requests and after a refused upgrade. WebSockets are left to the code that serves them.
 * - Every connection that is closed by one of the first two limits is counted.
 */
import { Clock, Duration, Effect, Metric } from "effect"
import { counter } from "../domain/Counters.ts"
import * as Http from "node:http"
import * as UnauthenticatedConnections from "./UnauthenticatedConnections.ts"

export interface ConnectionLimits {
  readonly maxConnections: number
  readonly maxUnauthenticatedConnections: number
  readonly requestTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
}

const closed = counter(
  "metadata_batcher_closed_connections_total",
  "Connections that were closed because there were too many, by which were too many."
)

/** Connections that were closed because of the limit on all connections, or on unauthenticated ones. */
export const closedConnections = {
  all: Metric.withAttributes(closed, { reason: "connections" }),
  unauthenticated: Metric.withAttributes(closed, { reason: "unauthenticated" })
}

/** Returns a server that keeps to the limits; it does not listen yet. */
export const makeServer = ({
  idleTimeout,
  maxConnections,
  maxUnauthenticatedConnections,
  requestTimeout
}: ConnectionLimits) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const timeout = Duration.toMillis(requestTimeout)
    const idleMillis = Duration.toMillis(idleTimeout)
    const server = Http.createServer({
      headersTimeout: timeout,
      requestTimeout: timeout,
      connectionsCheckingInterval: Math.min(timeout, 1_000)
    })
    server.maxConnections = maxConnections
    // a full worker of a cluster would else give a connection back, and full workers would pass it round for ever
    Object.assign(server, { dropMaxConnection: true })
    server.timeout = idleMillis
    // for the connection between two requests: the default of 5 seconds is shorter than that of most proxies
    server.keepAliveTimeout = idleMillis
    for (const metric of Object.values(closedConnections)) metric.updateUnsafe(0, context)

    const unauthenticated = UnauthenticatedConnections.make({
      maxConnections: maxUnauthenticatedConnections,
      clock: yield* Clock.Clock,
      onClosed: () => closedConnections.unauthenticated.updateUnsafe(1, context)
    })
    const onRequest: Http.RequestListener = ({ socket }, response) => unauthenticated.handle(socket, response, "close")
    server.on("drop", () => closedConnections.all.updateUnsafe(1, context))
    server.on("connection", unauthenticated.enter)
    server.on("request", onRequest)
    server.on("checkContinue", onRequest)
    server.on("upgrade", ({ socket }) => {
      unauthenticated.handle(socket, socket, "finish")
      // the server no longer listens after an upgrade, even a refused one; a WebSocket stops the timer
      socket.on("timeout", () => socket.destroy())
    })
    return server
  })
