/** The client's side of yamux and dRPC, as tests write and read it. */
import { readFileSync } from "node:fs"
import { Deferred, Effect, Queue } from "effect"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import type * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import * as WireServer from "../../src/wire/WireServer.ts"
import * as Yamux from "../../src/wire/Yamux.ts"
import type { Stream } from "../../src/wire/YamuxStream.ts"
import * as YamuxFrame from "../../src/wire/YamuxFrame.ts"

export const vectors = (name: string) => JSON.parse(readFileSync(`test/wire/vectors/${name}.json`, "utf8"))

export interface Event {
  readonly dir?: "c2s" | "s2c"
  readonly hex?: string
  readonly note?: string
  readonly summary?: string
}

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
export const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"))

/** The bytes of an event; a recording sums up bodies of zeros. */
export const bytesOf = (event: Event) =>
  event.hex === undefined ? new Uint8Array(Number(/^(\d+) body/.exec(event.summary ?? "0 body")![1])) : bytes(event.hex)

// ----- yamux -----

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly length: number
  readonly body: Uint8Array
}

export const { Flag, Type } = YamuxFrame

export const frame = (type: number, flags: number, streamId: number, length: number) =>
  YamuxFrame.encode({ type, flags, streamId, length })
export const data = (streamId: number, body: Uint8Array, flags: number = Flag.none) =>
  YamuxFrame.encode({ type: Type.data, flags, streamId, length: 0 }, body)
export const open = (streamId: number) => frame(Type.windowUpdate, Flag.syn, streamId, 0)
export const end = (streamId: number) => frame(Type.windowUpdate, Flag.fin, streamId, 0)

/** Reads the frames of bytes that are split anywhere. */
export const frames = (chunks: Iterable<Uint8Array>): ReadonlyArray<Frame> => {
  const read: Array<Frame> = []
  const decoder = YamuxFrame.makeDecoder({
    header: (type, flags, streamId, length) => {
      read.push({ type, flags, streamId, length, body: new Uint8Array(0) })
      return undefined
    },
    body: (part) => {
      const last = read.pop()!
      read.push({ ...last, body: Buffer.concat([last.body, part]) })
    }
  })
  for (const chunk of chunks) if (decoder.decode(chunk) !== undefined) throw new Error("the server broke the protocol")
  return read
}

/** A session whose streams note what happens to them, and do no more unless `onDrained` does. */
export const record = (options: Yamux.Options = {}, onDrained: (stream: Stream) => void = () => {}) => {
  const sent: Array<Uint8Array> = []
  const streams = new Map<number, Stream>()
  const received: Array<string> = []
  const ended: Array<Yamux.EndReason> = []
  let refused = 0
  const session = new Yamux.Session(
    {
      send: (bytes) => sent.push(bytes),
      accept: (stream) => {
        streams.set(stream.id, stream)
        const note = (what: string) => () => void received.push(`${stream.id} ${what}`)
        return {
          data: (bytes) => received.push(`${stream.id} data ${bytes.length}`),
          ended: note("ended"),
          reset: note("reset"),
          drained: () => {
            received.push(`${stream.id} drained`)
            onDrained(stream)
          },
          overdue: note("overdue")
        }
      },
      refused: () => refused++,
      ended: (reason) => ended.push(reason)
    },
    options
  )
  return {
    session,
    streams,
    received,
    ended,
    refused: () => refused,
    sent,
    /** Takes what was sent since the last time. */
    take: () => frames(sent.splice(0))
  }
}

/** A frame in words. */
export const inWords = ({ body, flags, length, streamId, type }: Frame) => {
  const names = ["SYN", "ACK", "FIN", "RST"].filter((_, bit) => (flags & (1 << bit)) !== 0)
  const kind = ["data", "window", "ping", "go away"][type]!
  return [kind, ...names, streamId, type === Type.data ? body.length : length].join(" ")
}

// ----- dRPC -----

export const { Kind } = DrpcFrame

const empty = new Uint8Array(0)
export const text = (value: string) => new TextEncoder().encode(value)

export const packet = (kind: number, streamId: number, messageId: number, body: Uint8Array = empty) =>
  DrpcFrame.encode(kind, streamId, messageId, body)

/** A unary call as stock clients write it. */
export const unary = (name: string, request: Uint8Array = empty, streamId = 1) =>
  Buffer.concat([
    packet(Kind.invoke, streamId, 1, text(name)),
    packet(Kind.message, streamId, 2, request),
    packet(Kind.closeSend, streamId, 3)
  ])

/** Reads the packets of a stream, whose parts come one after the other. */
export const packetReader = () => {
  const reader = DrpcFrame.makePacketReader()
  return (part: Uint8Array): ReadonlyArray<DrpcFrame.Packet> => {
    const read: Array<DrpcFrame.Packet> = []
    const end = reader.read(part, (packet) => read.push({ ...packet, body: packet.body.slice() }) > 0)
    if (end !== part.length) throw new Error(`the server broke the protocol: ${end}`)
    return read
  }
}

export const packets = (parts: ReadonlyArray<Uint8Array>): ReadonlyArray<DrpcFrame.Packet> =>
  parts.flatMap(packetReader())

export const packetInWords = ({ body, isControl, kind, messageId, streamId }: DrpcFrame.Packet) => {
  const name = Object.entries(Kind).find(([, value]) => value === kind)?.[0] ?? kind
  const content =
    kind === Kind.error && body.length >= 8
      ? `${Buffer.from(body).readBigUInt64BE()} ${Buffer.from(body.subarray(8))}`
      : hex(body)
  return [isControl ? "control" : "", name, `${streamId}.${messageId}`, content].filter((word) => word !== "").join(" ")
}

/** A client of a server in the same process, over a duplex of queues. */
export const connect = Effect.fnUntraced(function* <C>(
  multiplexer: DrpcMultiplexer.Multiplexer<C>,
  connection: C,
  options: WireServer.Options = {}
) {
  const ended = yield* Deferred.make<Yamux.EndReason>()
  const output = yield* Queue.unbounded<Uint8Array>()
  const server = yield* WireServer.make(options)
  const session = yield* server.open(multiplexer, connection, {
    write: (bytes) => void Queue.offerUnsafe(output, bytes),
    drained: Effect.void,
    ended: (reason) => Effect.asVoid(Deferred.succeed(ended, reason))
  })
  const seen: Array<Frame> = []
  const taken = new Map<number, number>()

  const bodiesOf = (streamId: number) =>
    seen.filter((frame) => frame.streamId === streamId && frame.type === Type.data).map(({ body }) => body)
  /** Waits for frames until there is what is asked for. */
  const until = <A>(find: () => A | undefined): Effect.Effect<A> =>
    Effect.suspend(() => {
      const found = find()
      if (found !== undefined) return Effect.succeed(found)
      return Effect.flatMap(Queue.take(output), (chunk) => {
        seen.push(...frames([chunk]))
        return until(find)
      })
    })

  return {
    session,
    /** Why the session has ended. */
    endReason: Deferred.await(ended),
    seen,
    until,
    send: (...chunks: ReadonlyArray<Uint8Array>) => Effect.sync(() => session.receive([Buffer.concat(chunks)])),
    /** The next packets of a stream, in words. */
    packets: (streamId: number, count = 1) =>
      until(() => {
        const before = taken.get(streamId) ?? 0
        const all = packets(bodiesOf(streamId))
        if (all.length < before + count) return undefined
        taken.set(streamId, before + count)
        return all.slice(before, before + count).map(packetInWords)
      }),
    /** Waits for the server's end of a stream. */
    ended: (streamId: number) =>
      until(() => seen.find((frame) => frame.streamId === streamId && (frame.flags & Flag.fin) !== 0))
  }
})
