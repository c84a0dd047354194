import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as YamuxFrame from "../../src/wire/YamuxFrame.ts"
import * as Wire from "./support.ts"

const { data, end, Flag, frame, inWords, open, record, Type } = Wire
const window = YamuxFrame.initialWindow

const recorded = (name: string): ReadonlyArray<Wire.Event> =>
  Wire.vectors("yamux").vectors.find((vector: { name: string }) => vector.name.startsWith(name)).events

/** The bytes of the recorded client, and those of the recorded server. */
const sides = (name: string) => ({
  client: recorded(name)
    .filter(({ dir }) => dir === "c2s")
    .map(Wire.bytesOf),
  server: Wire.frames(
    recorded(name)
      .filter(({ dir }) => dir === "s2c")
      .map(Wire.bytesOf)
  ).map(inWords)
})

describe("the recorded sessions", () => {
  it("respond to a call with an acknowledgement, data and an end [WI-10]", () => {
    const { client, server } = sides("unary call over yamux")
    const { received, session, streams, take } = record()

    client.slice(0, 3).forEach((chunk) => session.receive(chunk))
    streams.get(1)!.write(new Uint8Array(21))
    streams.get(1)!.write(new Uint8Array(4))
    client.slice(3).forEach((chunk) => session.receive(chunk))
    streams.get(1)!.end()
    session.flush()

    assert.deepStrictEqual(take().map(inWords), server)
    assert.deepStrictEqual(received, ["1 data 56", "1 data 4", "1 ended"])
    assert.strictEqual(session.size, 0)
  })

  it("respond to pings with the same value, and understand responses [WI-11]", () => {
    const { client, server } = sides("pings")
    const { session, take } = record()
    let answered = 0

    client.slice(0, 2).forEach((chunk) => session.receive(chunk))
    session.ping(() => answered++)
    client.slice(2).forEach((chunk) => session.receive(chunk))

    assert.deepStrictEqual(take().map(inWords), server)
    assert.strictEqual(answered, 1)
    assert.strictEqual(session.answers, 1)
  })

  it("give credit when data is consumed, in halves of a window [WI-12]", () => {
    const { client, server } = sides("client writes 307200 bytes")
    const { session, streams, take } = record()

    client.slice(0, 3).forEach((chunk) => session.receive(chunk))
    for (let read = 0; read < window; read += 32_768) streams.get(1)!.consume(32_768)
    client.slice(3).forEach((chunk) => session.receive(chunk))
    streams.get(1)!.end()
    session.flush()

    assert.deepStrictEqual(take().map(inWords), server)
  })

  it("tell the client to open no more streams [WI-13]", () => {
    const { session, take } = record()

    session.drain()
    session.drain()
    assert.deepStrictEqual(take().map(inWords), sides("server sends go away").server)

    session.receive(open(1))
    assert.deepStrictEqual(take().map(inWords), ["window RST 1 0"])
  })

  it("reject a stream by a reset [WI-14]", () => {
    const { client, server } = sides("accept backlog exceeded")
    const { refused, session, take } = record({ maxStreams: 256 })
    for (let id = 1; id < 512; id += 2) session.receive(open(1_000 + id))
    take()

    session.receive(client[1]!)

    assert.deepStrictEqual(take().map(inWords), server)
    assert.strictEqual(refused(), 1)
    assert.strictEqual(session.size, 256)
  })

  it("go on whatever a stock client responds to a peer's mistakes", () => {
    for (const { events, name } of Wire.vectors("yamux").vectors.slice(5)) {
      const { ended, session } = record()
      for (const event of events) if (event.dir === "c2s") session.receive(Wire.bytesOf(event))

      assert.isTrue(
        ended.every((reason) => reason === "client gone away"),
        name
      )
    }
  })
})

describe("a stream", () => {
  it("is acknowledged once, on its first data or by a frame of its own [WI-10]", () => {
    const { session, streams, take } = record()

    session.receive(open(1))
    session.receive(Buffer.concat([open(3), data(3, Wire.bytes("0102"))]))
    for (const stream of streams.values()) stream.write(Wire.bytes("ff"))
    session.flush()

    assert.deepStrictEqual(take().map(inWords), ["window ACK 1 0", "window ACK 3 0", "data 1 1", "data 3 1"])
  })

  it("is not acknowledged when it is reset in the turn that opens it [WI-10]", () => {
    const { received, session, take } = record()

    session.receive(Buffer.concat([open(1), frame(Type.windowUpdate, Flag.rst, 1, 0)]))

    assert.deepStrictEqual([received, take()], [["1 reset"], []])
    session.receive(open(1))
    assert.deepStrictEqual(take().map(inWords), ["window ACK 1 0"])
  })

  it("has an id, which 0 is none of [WI-14]", () => {
    const { refused, session, take } = record()

    session.receive(open(0))

    assert.deepStrictEqual(take().map(inWords), ["window RST 0 0"])
    assert.deepStrictEqual([refused(), session.size], [1, 0])
  })

  it("sends no more than the client's window, and the rest as it grows [WI-12]", () => {
    const { received, session, streams, take } = record()
    session.receive(open(1))
    const stream = streams.get(1)!

    assert.isFalse(stream.write(new Uint8Array(window + 10)))
    stream.end()
    session.flush()
    const first = take().filter(({ type }) => type === Type.data)
    session.receive(frame(Type.windowUpdate, Flag.none, 1, 4))
    const second = take().map(inWords)
    session.receive(frame(Type.windowUpdate, Flag.none, 1, 6))

    assert.strictEqual(
      first.reduce((sum, { body }) => sum + body.length, 0),
      window
    )
    assert.deepStrictEqual(second, ["data 1 4"])
    assert.deepStrictEqual(take().map(inWords), ["data 1 6", "window FIN 1 0"])
    assert.deepStrictEqual(received, ["1 drained"])
  })

  it("writes messages of at most 32 KiB [WI-15]", () => {
    const { sent, session, streams } = record()
    session.receive(open(1))

    streams.get(1)!.write(new Uint8Array(200_000))
    for (let count = 0; count < 100; count++) streams.get(1)!.write(new Uint8Array(500))
    session.flush()

    assert.isAtMost(Math.max(...sent.map(({ length }) => length)), 32_768)
    assert.isAtMost(sent.length, 12)
  })

  it("never sends a second end [WI-16]", () => {
    const { session, streams, take } = record()
    session.receive(open(1))
    const stream = streams.get(1)!

    stream.end()
    stream.end()
    session.receive(end(1))
    stream.end()
    session.flush()

    assert.deepStrictEqual(take().map(inWords), ["window ACK 1 0", "window FIN 1 0"])
    assert.strictEqual(session.size, 0)
  })

  it("never sends a second end when it ends as soon as it has drained [WI-16]", () => {
    const { session, streams, take } = record({}, (stream) => stream.end())
    session.receive(open(1))
    streams.get(1)!.write(new Uint8Array(window + 1))
    session.flush()
    take()

    session.receive(frame(Type.windowUpdate, Flag.none, 1, 1))

    assert.deepStrictEqual(take().map(inWords), ["data 1 1", "window FIN 1 0"])
  })

  it("drops data after its end or reset, and the session lives [WI-17]", () => {
    const { ended, received, session } = record()
    session.receive(Buffer.concat([open(1), open(3)]))

    session.receive(Buffer.concat([end(1), data(1, Wire.bytes("00")), end(1)]))
    session.receive(Buffer.concat([frame(Type.windowUpdate, Flag.rst, 3, 0), data(3, new Uint8Array(window + 1))]))
    session.receive(frame(Type.data, Flag.none, 1, window + 1))

    assert.deepStrictEqual(received, ["1 ended", "3 reset"])
    assert.deepStrictEqual(ended, [])
  })

  it("takes the body of a frame with an end before the end [WI-17]", () => {
    const { received, session } = record()

    session.receive(Buffer.concat([open(1), data(1, Wire.bytes("0102"), Flag.fin)]))
    session.receive(data(3, Wire.bytes("01"), Flag.syn | Flag.fin))

    session.receive(data(5, new Uint8Array(0), Flag.syn | Flag.fin))
    session.receive(frame(Type.windowUpdate, Flag.syn | Flag.fin, 7, 9))

    assert.deepStrictEqual(received, ["1 data 2", "1 ended", "3 data 1", "3 ended", "5 ended", "7 ended"])
  })

  it("is reset when one side alone has closed it for five minutes [WI-18]", () => {
    const { received, session, streams, take } = record()
    session.receive(Buffer.concat([open(1), open(3), open(5), end(3)]))
    streams.get(1)!.end()
    session.flush()
    take()

    for (const seconds of [0, 15, 299]) session.sweep(seconds * 1_000)
    const before = take()
    session.sweep(300_000)

    assert.deepStrictEqual(before, [])
    assert.deepStrictEqual(take().map(inWords), ["window RST 1 0", "window RST 3 0"])
    assert.deepStrictEqual(received, ["3 ended", "3 overdue", "3 overdue", "1 reset", "3 overdue", "3 reset"])
    assert.strictEqual(session.size, 1)
  })
})

describe("a session", () => {
  it("ignores frames for streams that it does not know [WI-19]", () => {
    const { ended, received, session, take } = record()

    session.receive(
      Buffer.concat([data(9, new Uint8Array(400_000)), frame(Type.windowUpdate, Flag.none, 11, 5), end(13)])
    )
    session.receive(frame(Type.windowUpdate, Flag.rst, 15, 0))
    session.receive(frame(Type.ping, Flag.ack, 0, 77))
    session.receive(frame(Type.goAway, Flag.none, 0, 0))

    assert.deepStrictEqual([ended, received, take()], [[], [], []])
  })

  it("ends on what the protocol forbids, and resets its streams [WI-20]", () => {
    const mistakes: ReadonlyArray<readonly [string, Uint8Array]> = [
      ["unknown version", Wire.bytes("010000000000000000000000")],
      ["unknown type", Wire.bytes("000400000000000000000000")],
      ["window exceeded", frame(Type.data, Flag.none, 1, window + 1)],
      ["stream opened twice", open(1)],
      ["client gone away", frame(Type.goAway, Flag.none, 0, 1)],
      ["client gone away", frame(Type.goAway, Flag.none, 0, 99)]
    ]
    for (const [reason, mistake] of mistakes) {
      const { ended, received, session, take } = record()
      session.receive(open(1))

      session.receive(Buffer.concat([mistake, open(3), frame(Type.ping, Flag.syn, 0, 1)]))
      session.receive(open(5))

      assert.deepStrictEqual(ended, [reason])
      assert.deepStrictEqual(received, ["1 reset"])
      assert.isFalse(take().some(({ type }) => type === Type.ping))
    }
  })

  it("ends when more waits for the client than may [WI-21]", () => {
    const { ended, session, streams } = record({ maxQueuedBytes: 1_000_000 })
    session.receive(Buffer.concat([open(1), open(3)]))

    streams.get(1)!.write(new Uint8Array(1_200_000))
    assert.deepStrictEqual(ended, [])
    streams.get(3)!.write(new Uint8Array(400_000))

    assert.deepStrictEqual(ended, ["queue full"])
  })

  it("hands nothing over after its end, not even the rest of what had arrived [WI-20]", () => {
    const { received, session, streams } = record({}, () => session.close("closed"))
    session.receive(open(1))
    streams.get(1)!.write(new Uint8Array(window + 1))

    session.receive(Buffer.concat([frame(Type.windowUpdate, Flag.none, 1, 1), data(1, Wire.bytes("01"))]))

    assert.deepStrictEqual(received, ["1 drained", "1 reset"])
  })

  it("serves more than the 256 streams that a client opens before the first is acknowledged [WI-14]", () => {
    const { refused, session } = record({ maxStreams: 1 })
    for (let id = 1; id <= 512; id += 2) session.receive(open(id))

    assert.strictEqual(session.size, 256)
    assert.strictEqual(refused(), 0)
  })
})

describe("frames", () => {
  const Part = Schema.Struct({
    streamId: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 })),
    flags: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 15 })),
    body: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))),
    value: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 })),
    type: Schema.Literals([0, 1, 2, 3])
  })

  it.prop(
    "are read as they were written, however reads split them [WI-22]",
    {
      parts: Schema.Array(Part),
      cuts: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })))
    },
    ({ cuts, parts }) => {
      const written = parts.map(({ body, flags, streamId, type, value }) =>
        type === Type.data ? data(streamId, Uint8Array.from(body), flags) : frame(type, flags, streamId, value)
      )
      const all = Buffer.concat(written)
      const chunks: Array<Uint8Array> = []
      for (let offset = 0, cut = 0; offset < all.length; cut++) {
        const size = cuts.length === 0 ? all.length : cuts[cut % cuts.length]!
        chunks.push(all.subarray(offset, offset + size))
        offset += size
      }

      const read = Wire.frames(chunks).map(({ body, flags, length, streamId, type }) =>
        type === Type.data ? data(streamId, body, flags) : frame(type, flags, streamId, length)
      )

      assert.deepStrictEqual(read.map(Wire.hex), written.map(Wire.hex))
    }
  )
})
