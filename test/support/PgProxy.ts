/**
 * A proxy in front of a Postgres, which shows what passes and fails in the ways that networks and poolers do.
 *
 * It speaks plain TCP and cuts the traffic into the protocol's messages: a client's first one is a length and its
 * body, all others begin with a letter.
 */
import { Context, Effect, Layer, Queue, Redacted } from "effect"
import * as Net from "node:net"
import { portOf } from "./localServer.ts"
import { TestDatabase } from "./Postgres.ts"

export class PgProxy extends Context.Service<
  PgProxy,
  {
    /** The database's URL, through the proxy. */
    readonly url: Redacted.Redacted
    /** Every statement that a client has sent, as text. */
    readonly statements: Queue.Dequeue<string>
    /** One element for each connection that has ended. */
    readonly closed: Queue.Dequeue<void>
    /** From now on nothing passes on the present connections, and they stay open. New ones work. */
    readonly freeze: Effect.Effect<void>
    /** One element for each frozen connection on which the client has sent something. */
    readonly swallowed: Queue.Dequeue<void>
    /** While the effect runs, no connection delivers notifications. */
    readonly muted: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Ends the present connections; while the effect runs, no new one comes about. */
    readonly down: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("test/support/PgProxy") {}

const parse = 0x50
const notification = 0x41

/** Calls `onMessage` with each complete message of what arrives in pieces. */
const messages = (startup: boolean, onMessage: (message: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  let letter = startup ? 0 : 1
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= letter + 4) {
      const end = letter + rest.readInt32BE(letter)
      if (rest.length < end) return
      onMessage(rest.subarray(0, end))
      rest = rest.subarray(end)
      letter = 1
    }
  }
}

/** The text of a statement: behind its letter, its length, and its name, up to the next zero. */
const textOf = (message: Buffer) => {
  const begin = message.indexOf(0, 5) + 1
  return message.toString("utf8", begin, message.indexOf(0, begin))
}

const make = Effect.gen(function* () {
  const target = new URL(Redacted.value((yield* TestDatabase).url))
  const statements = yield* Queue.unbounded<string>()
  const closed = yield* Queue.unbounded<void>()
  const swallowed = yield* Queue.unbounded<void>()
  const live = new Set<{ readonly client: Net.Socket; frozen: boolean }>()
  let mute = false
  let refuse = false

  const server = Net.createServer({ noDelay: true }, (client) => {
    if (refuse) return client.destroy()
    const upstream = Net.connect({ port: Number(target.port), host: target.hostname, noDelay: true })
    const connection = { client, frozen: false }
    let swallows = false
    live.add(connection)
    client.on(
      "data",
      messages(true, (message) => {
        if (connection.frozen) {
          if (!swallows) Queue.offerUnsafe(swallowed, undefined)
          swallows = true
          return
        }
        if (message[0] === parse) Queue.offerUnsafe(statements, textOf(message))
        upstream.write(message)
      })
    )
    upstream.on(
      "data",
      messages(false, (message) => {
        if (!connection.frozen && !(mute && message[0] === notification)) client.write(message)
      })
    )
    client
      .on("error", () => {})
      .on("close", () => {
        live.delete(connection)
        upstream.destroy()
        Queue.offerUnsafe(closed, undefined)
      })
    upstream.on("error", () => {}).on("close", () => connection.frozen || client.destroy())
  })

  const endAll = () => live.forEach(({ client }) => client.destroy())
  const port = yield* portOf(server, endAll)
  const url = new URL(target)
  url.host = `127.0.0.1:${port}`

  const whileSet =
    (set: (on: boolean) => void) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(
        Effect.sync(() => set(true)),
        () => self,
        () => Effect.sync(() => set(false))
      )

  return PgProxy.of({
    url: Redacted.make(url.href),
    statements,
    closed,
    swallowed,
    freeze: Effect.sync(() => {
      for (const connection of live) connection.frozen = true
    }),
    muted: whileSet((on) => {
      mute = on
    }),
    down: whileSet((on) => {
      refuse = on
      endAll()
    })
  })
})

/** A proxy in front of the suite's database. */
export const layer = Layer.effect(PgProxy, make)
