/** Finds a port for a server that is told its port before it listens. Another program may take it meanwhile. */
import { Data, Effect } from "effect"
import * as Net from "node:net"

/** A host has no port to listen on. */
export class NoFreePort extends Data.TaggedError("NoFreePort")<{ readonly host: string; readonly cause?: unknown }> {
  override get message() {
    return `no port of ${this.host} is free`
  }
}

/** Returns a port of a host that is free. */
export const find = (host: string) =>
  Effect.callback<number, NoFreePort>((resume) => {
    const server = Net.createServer()
    server.on("error", (cause) => resume(new NoFreePort({ host, cause })))
    server.listen(0, host, () => {
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      server.close(() => resume(port === undefined ? new NoFreePort({ host }) : Effect.succeed(port)))
    })
  })
