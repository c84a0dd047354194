/** Servers of the tests themselves. */
import { Effect, type Scope } from "effect"
import type * as Net from "node:net"

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
