/**
 * A network between the service and its database that can stall, cut and swallow.
 */
import { Effect } from "effect"
import * as Net from "node:net"

interface Pair {
  readonly client: Net.Socket
  readonly upstream: Net.Socket
  swallow: boolean
}

/** Passes on what comes to a port of its own, until the scope closes. */
export const make = Effect.fnUntraced(function* (target: string) {
  const pairs = new Set<Pair>()
  let stalled = false
  let opened = 0

  const forward = (pair: Pair, from: Net.Socket, to: Net.Socket) => {
    from.on("data", (chunk) => {
      if (!pair.swallow) to.write(chunk)
    })
    from.on("error", () => {})
    from.on("close", () => {
      pairs.delete(pair)
      if (!pair.swallow) to.destroy()
    })
  }

  const { hostname, port } = new URL(target)
  const server = Net.createServer({ noDelay: true }, (client) => {
    opened++
    const upstream = Net.connect({ host: hostname, port: Number(port), noDelay: true })
    const pair = { client, upstream, swallow: false }
    pairs.add(pair)
    forward(pair, client, upstream)
    forward(pair, upstream, client)
    if (stalled) pause(pair)
  })

  const pause = ({ client, upstream }: Pair) => void [client.pause(), upstream.pause()]
  const resume = ({ client, upstream }: Pair) => void [client.resume(), upstream.resume()]
  const destroy = ({ client, upstream }: Pair) => void [client.destroy(), upstream.destroy()]

  const everyone = (act: (pair: Pair) => void) =>
    Effect.sync(() => {
      const count = pairs.size
      for (const pair of pairs) act(pair)
      return count
    })

  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const pair of pairs) destroy(pair)
      })
  )
  const url = new URL(target)
  url.host = `127.0.0.1:${(server.address() as Net.AddressInfo).port}`

  return {
    url: url.href,
    /** How many connections there have been. */
    opened: () => opened,
    /** While the effect runs nothing is passed on, and nothing is lost. */
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
    /** Ends every connection on both sides; answers how many there were. */
    cut: everyone(destroy),
    /** From now on the present connections pass nothing on, and stay open. New ones work. Answers how many there were. */
    swallow: everyone((pair) => {
      pair.swallow = true
    })
  }
})
