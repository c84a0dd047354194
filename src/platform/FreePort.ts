/**
 * Finds a port for a server that is told its port before it listens, or that stops listening for a while.
 *
 * Another program may take the port meanwhile, so it is drawn from those below the ones that systems give to outgoing
 * connections: from 32,768 on Linux, from 49,152 elsewhere.
 */
import { Data, Effect, Random } from "effect"
import * as Net from "node:net"

/** A host has no port to listen on. */
export class NoFreePort extends Data.TaggedError("NoFreePort")<{
  readonly host: string
  readonly cause: NodeJS.ErrnoException
}> {
  override get message() {
    return `no port of ${this.host} is free`
  }
}

/** Returns a port of a host that is free. Fails for a host of another machine, and after 101 draws of ports that are not free. */
export const find = (host: string) =>
  Effect.retry(Effect.flatMap(drawn, listenAt(host)), { times: 100, while: ({ cause }) => taken.has(cause.code) })

const drawn = Random.nextIntBetween(20_000, 32_768, { halfOpen: true })

/** Another program listens on the port, or the system reserves it. */
const taken: ReadonlySet<unknown> = new Set(["EADDRINUSE", "EACCES"])

/** Listens on a port for a moment. */
const listenAt = (host: string) => (port: number) =>
  Effect.callback<number, NoFreePort>((resume) => {
    const server = Net.createServer()
    server.on("error", (cause) => resume(new NoFreePort({ host, cause })))
    server.listen(port, host, () => server.close(() => resume(Effect.succeed(port))))
  })
