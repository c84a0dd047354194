/**
 * A network between the service and its database that can stall, cut, swallow, delay, and lead to another server.
 */
import { Effect, FiberSet } from "effect"
import * as Net from "node:net"
import { portOf } from "../support/localServer.ts"

interface Pair {
  readonly client: Net.Socket
  readonly upstream: Net.Socket
  swallow: boolean
}

export interface Options {
  /** Milliseconds that a round trip takes longer than without the proxy. */
  readonly latency?: number | undefined
}

/** Forwards the connections to a port of its own, until the scope closes. */
export const make = Effect.fnUntraced(function* (target: string, options: Options = {}) {
  const pairs = new Set<Pair>()
  // chunks that are on their way, none of which arrives when the scope has closed
  const fork = yield* FiberSet.makeRuntime()
  let latency = options.latency ?? 0
  let stalled = false
  let opened = 0
  let upstreamPort = Number(new URL(target).port)

  const forward = (pair: Pair, from: Net.Socket, to: Net.Socket) => {
    // all of a connection takes the same time, so that nothing overtakes
    const delay = latency / 2
    const pass = (chunk: Buffer) => {
      if (!pair.swallow && !to.destroyed) to.write(chunk)
    }
    from.on("data", (chunk) => {
      if (delay === 0) pass(chunk)
      else fork(Effect.map(Effect.sleep(delay), () => pass(chunk)))
    })
    from.on("error", () => {})
    from.on("close", () => {
      pairs.delete(pair)
      if (!pair.swallow) to.destroy()
    })
  }

  const { hostname } = new URL(target)
  const server = Net.createServer({ noDelay: true }, (client) => {
    opened++
    const upstream = Net.connect({ host: hostname, port: upstreamPort, noDelay: true })
    const pair = { client, upstream, swallow: false }
    pairs.add(pair)
    forward(pair, client, upstream)
    forward(pair, upstream, client)
    if (stalled) pause(pair)
  })

  const pause = ({ client, upstream }: Pair) => void [client.pause(), upstream.pause()]
  const resume = ({ client, upstream }: Pair) => void [client.resume(), upstream.resume()]
  const destroy = ({ client, upstream }: Pair) => void [client.destroy(), upstream.destroy()]

  const forEach = (act: (pair: Pair) => void) =>
    Effect.sync(() => {
      const count = pairs.size
      for (const pair of pairs) act(pair)
      return count
    })

  const port = yield* portOf(server, () => pairs.forEach(destroy))
  const url = new URL(target)
  url.host = `127.0.0.1:${port}`

  return {
    url: url.href,
    /** How many connections there have been. */
    opened: () => opened,
    /** How many connections there are. */
    open: () => pairs.size,
    /** Leads new connections to the server on another port of this machine; open ones stay. */
    leadTo: (port: number) => Effect.sync(() => void (upstreamPort = port)),
    /** Milliseconds that a round trip over a new connection takes longer; open ones stay. */
    delayBy: (millis: number) => Effect.sync(() => void (latency = millis)),
    /** Forwards nothing while the effect runs, and loses nothing. */
    stalled: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          stalled = true
          for (const pair of pairs) pause(pair)
        }),
        () => self,
        () =>
          Effect.sync(() => {
            stalled = false
            for (const pair of pairs) resume(pair)
          })
      ),
    /** Ends every connection on both sides and returns how many there were. */
    cut: forEach(destroy),
    /** From now on the open connections forward nothing and stay open. New ones work. Returns how many there were. */
    swallow: forEach((pair) => {
      pair.swallow = true
    })
  }
})
