/** Servers of the tests themselves. */
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import type * as Net from "node:net"
import { ByteWebSocket } from "../../src/platform/ByteWebSocket.ts"

/**
 * Lets a server listen on a free port of this machine, and returns the port. When the scope closes it stops to listen, and
 * waits for its connections, which `end` may end.
 */
export const portOf = (server: Net.Server, end: () => void = () => {}): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        end()
      })
  ).pipe(Effect.map(() => (server.address() as Net.AddressInfo).port))

/** Serves routes with the WebSockets of the service, and returns the address. */
export const serveRoutes = Effect.fnUntraced(function* <E, R>(
  routes: Layer.Layer<never, E, R>,
  WebSocket: typeof ByteWebSocket = ByteWebSocket
) {
  const services = yield* Layer.build(
    HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(() => createServer(), {
          port: 0,
          host: "127.0.0.1",
          gracefulShutdownTimeout: "100 millis",
          websocket: { WebSocket }
        })
      )
    )
  )
  return NetAddress.formatUrlUnsafe(Context.get(services, HttpServer.HttpServer).address)
})
