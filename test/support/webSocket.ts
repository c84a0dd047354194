/** A WebSocket for tests, with its messages in a queue and its close code. */
import { NodeWS } from "@effect/platform-node"
import { type Cause, Data, Deferred, Effect, Queue } from "effect"
import type * as Http from "node:http"
import type * as Net from "node:net"
import * as Consumers from "node:stream/consumers"

/** The server answered the request for an upgrade with something else; status 0 is that it did not answer. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}> {}

export interface Connection {
  /** Messages that arrived and were not taken yet. It ends with the connection. */
  readonly messages: Queue.Dequeue<string, Cause.Done>
  readonly send: (data: string | Uint8Array) => Effect.Effect<void>
  /** Waits for the end. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  readonly close: Effect.Effect<void>
  /** The pings that have arrived and were not taken yet. */
  readonly pings: Queue.Dequeue<void>
  /** Replies to a ping; a socket may not do so by itself. */
  readonly pong: Effect.Effect<void>
  /** The socket beneath the WebSocket. */
  readonly tcp: Net.Socket
}

export interface Options {
  /** Whether pings are answered by themselves. Default: they are. */
  readonly answersPings?: boolean
  /** The subprotocols that are offered. Default: none. */
  readonly protocols?: Array<string>
  /** Whether a server may show a certificate of its own making. Default: it may not. */
  readonly acceptsAnyCertificate?: boolean
}

/** Opens a connection that is closed with the scope. */
export const connect = Effect.fnUntraced(function* (
  url: string,
  headers: Readonly<Record<string, string>> = {},
  { acceptsAnyCertificate = false, answersPings = true, protocols = [] }: Options = {}
) {
  const pings = yield* Queue.unbounded<void>()
  const messages = yield* Queue.unbounded<string, Cause.Done>()
  const closed = yield* Deferred.make<{ readonly code: number; readonly reason: string }>()
  const open = Effect.callback<Pick<Connection, "tcp"> & { readonly socket: NodeWS.WebSocket }, Refused>((resume) => {
    const socket = new NodeWS.WebSocket(url.replace(/^http/, "ws"), protocols, {
      headers,
      autoPong: answersPings,
      rejectUnauthorized: !acceptsAnyCertificate
    })
    socket
      .on("upgrade", ({ socket: tcp }) => socket.on("open", () => resume(Effect.succeed({ socket, tcp }))))
      .on("ping", () => Queue.offerUnsafe(pings, undefined))
      .on("message", (data) => Queue.offerUnsafe(messages, String(data)))
      .on("close", (code, reason) => {
        Deferred.doneUnsafe(closed, Effect.succeed({ code, reason: String(reason) }))
        Queue.endUnsafe(messages)
      })
      .on("error", ({ message }) => resume(Effect.fail(new Refused({ status: 0, headers: {}, body: message }))))
      .on("unexpected-response", (_, response) => {
        const { headers, statusCode: status = 0 } = response
        void Consumers.text(response).then((body) => resume(Effect.fail(new Refused({ status, headers, body }))))
      })
  })
  const { socket, tcp } = yield* Effect.acquireRelease(open, ({ socket }) => Effect.sync(() => socket.terminate()))
  return {
    messages,
    pings,
    pong: Effect.sync(() => socket.pong()),
    tcp,
    send: (data) => Effect.callback<void>((resume) => socket.send(data, () => resume(Effect.void))),
    closed: Deferred.await(closed),
    close: Effect.andThen(
      Effect.sync(() => socket.close()),
      Effect.asVoid(Deferred.await(closed))
    )
  } satisfies Connection
})
