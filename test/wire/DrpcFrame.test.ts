/** Packets and their frames, as they are written and read. */
import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import { BannerConfigSchema } from "../../src/wire/generated/agent_pb.ts"
import * as Wire from "./support.ts"

const { Kind, packet } = Wire

describe("packets", () => {
  const Piece = Schema.Struct({
    kind: Schema.Literals([1, 2, 3, 4, 5, 6, 7, 40]),
    jump: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
    body: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
  })

  it.prop(
    "are read as they were written, however reads split them [WI-46]",
    {
      pieces: Schema.Array(Piece),
      cuts: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })))
    },
    ({ cuts, pieces }) => {
      let streamId = 1
      const written = pieces.map(({ body, jump, kind }, index) => {
        streamId += jump
        return { kind, isControl: false, streamId, messageId: index + 1, body: Uint8Array.from(body) }
      })
      const all = Buffer.concat(
        written.map(({ body, kind, messageId, streamId }) => packet(kind, streamId, messageId, body))
      )
      const chunks: Array<Uint8Array> = []
      for (let offset = 0, cut = 0; offset < all.length; cut++) {
        const size = cuts.length === 0 ? all.length : cuts[cut % cuts.length]!
        chunks.push(all.subarray(offset, offset + size))
        offset += size
      }

      assert.deepStrictEqual(Wire.packets(chunks).map(Wire.packetInWords), written.map(Wire.packetInWords))
    }
  )

  it("are read although one read has a part of a header and the next one much more than its rest [WI-46]", () => {
    const bytes = packet(Kind.message, 1, 2, Buffer.alloc(100, 7))
    for (const cut of [1, 2, 3]) {
      const [read] = Wire.packets([bytes.subarray(0, cut), bytes.subarray(cut)])
      assert.deepStrictEqual([read?.messageId, read?.body.length], [2, 100])
    }
  })

  it("have one kind in all their frames [WI-41]", () => {
    const read = (hex: string) => DrpcFrame.makePacketReader().read(Wire.bytes(hex), () => true)
    assert.strictEqual(read("04010201aa05010201bb"), 10)
    assert.strictEqual(read("04010201aa07010201bb"), "kind changed within a packet")
  })

  it("have ids of their own, and higher ones than those before [WI-41]", () => {
    const read = (...packets: ReadonlyArray<Uint8Array>) =>
      DrpcFrame.makePacketReader().read(Buffer.concat(packets), () => true)
    const of = (streamId: number, messageId: number) => packet(Kind.message, streamId, messageId)

    assert.strictEqual(read(of(1, 1), of(1, 2), of(2, 1), of(9, 7)), 16)
    for (const [first, second] of [
      [of(1, 1), of(1, 1)],
      [of(2, 3), of(2, 2)],
      [of(2, 1), of(1, 2)],
      [of(1, 1), of(1, 0)]
    ] as const) {
      assert.strictEqual(read(first, second), "id went back")
    }
    assert.strictEqual(read(of(1, 0)), "id went back")
  })

  it("that are not complete are dropped when one with a higher id comes, of the same stream or a later one [WI-42]", () => {
    for (const later of ["05010201bb", "05020101bb"]) {
      const bodies: Array<string> = []
      DrpcFrame.makePacketReader().read(Wire.bytes(`04010101aa${later}`), ({ body }) => {
        bodies.push(Wire.hex(body))
        return true
      })
      assert.deepStrictEqual(bodies, ["bb"], later)
    }
  })

  it("may end with an empty frame, and may have some between others [WI-46]", () => {
    const bodies: Array<string> = []
    const read = DrpcFrame.makePacketReader().read(Wire.bytes("0401010004010102aabb0401010005010100"), (packet) => {
      bodies.push(Wire.hex(packet.body))
      return true
    })

    assert.deepStrictEqual([read, bodies], [18, ["aabb"]])
  })

  it("have numbers of at most ten bytes [WI-41]", () => {
    const read = (hex: string) => DrpcFrame.makePacketReader().read(Wire.bytes(hex), () => true)

    assert.strictEqual(read(`05${"80".repeat(9)}010100`), 13)
    for (const long of [`05${"80".repeat(10)}010100`, `05${"80".repeat(10)}`, `0501${"80".repeat(10)}01`]) {
      assert.strictEqual(read(long), "varint too long", long)
    }
    assert.strictEqual(read(`05${"80".repeat(9)}`), 10)
  })

  it("that are not complete take no more memory than has arrived, but for one frame [WI-43]", () => {
    const held = (hex: string) => {
      const reader = DrpcFrame.makePacketReader()
      reader.read(Wire.bytes(hex), () => true)
      return reader.heldBytes
    }

    assert.strictEqual(held("050101808010aa"), 65_536)
    assert.strictEqual(held("05010164aabb"), 100)
    assert.strictEqual(held("04010102aabb"), 2)
    assert.strictEqual(held("050101"), 0)
  })

  it("of metadata are maps of texts, entry for entry", () => {
    const isMetadata = (hex: string) => DrpcFrame.isMetadata(Wire.bytes(hex))
    for (const hex of ["", "0a060a0161120162", "0a060a01611201620a040a001200"]) assert.isTrue(isMetadata(hex), hex)
    const broken = [
      "12060a0161120162",
      "0a06120161120162",
      "0a060a01610a0162",
      "0a030a0161",
      "0a060a01611201",
      "0a070a0161120162",
      "0a050a0161120162",
      "0a",
      "0a060a",
      "0affffffffffffffffffff01",
      "0a060affffffffffffffffffff01",
      "0a060a016112ffffffffffffffffffff01"
    ]
    for (const hex of broken) assert.isFalse(isMetadata(hex), hex)
  })

  it("are cut into frames of 64 KiB [WI-34]", () => {
    const body = Buffer.alloc(200_000, 7)
    const bytes = packet(Kind.message, 1, 2, body)

    assert.strictEqual(Wire.hex(bytes.subarray(0, 6)), "040102808004")
    assert.strictEqual(Wire.hex(bytes.subarray(3 * 65_542, 3 * 65_542 + 6)), "050102c01a07")
    assert.deepStrictEqual(Buffer.from(Wire.packets([bytes])[0]!.body), body)
    assert.strictEqual(toBinary(BannerConfigSchema, create(BannerConfigSchema)).length, 0)
  })
})
