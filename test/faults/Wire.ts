/** A bare TCP connection to the service, for what no client would send. */
import { Effect } from "effect"
import * as Net from "node:net"

export type Wire = Effect.Success<ReturnType<typeof connect>>

export const connect = Effect.fnUntraced(function* (url: string) {
  const chunks: Array<Buffer> = []
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {}).on("data", (chunk) => chunks.push(chunk))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const received = () => Buffer.concat(chunks)
  return {
    send: (data: string | Uint8Array) => Effect.sync(() => void socket.write(data)),
    /** Goes away without a word. */
    vanish: Effect.sync(() => void socket.resetAndDestroy()),
    /** The bytes that arrived by the end of the connection, which is awaited for 10 s. */
    ended: Effect.callback<Buffer>((resume) => {
      if (socket.closed) return resume(Effect.sync(received))
      socket.once("close", () => resume(Effect.sync(received)))
    }).pipe(Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.succeed(Buffer.from("still open")) }))
  }
})

/** A frame of a client, masked with zeros. */
export const frame = (opcode: number, payload: Uint8Array, claimed = payload.length): Uint8Array => {
  const head =
    claimed < 126 ? [0x80 | opcode, 0x80 | claimed] : [0x80 | opcode, 0x80 | 126, claimed >> 8, claimed & 0xff]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload])
}

/** The close code of the last frame of what a service has sent. */
export const closeCode = (received: Buffer): number | undefined => {
  const at = received.lastIndexOf(0x88)
  return at === -1 || at + 3 >= received.length ? undefined : received.readUInt16BE(at + 2)
}
