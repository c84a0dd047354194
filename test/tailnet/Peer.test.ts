/** The ids of peers, and the messages that carry their updates. */
import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { fromBytes, PeerId, toBytes, toResponses } from "../../src/tailnet/Peer.ts"

const id = PeerId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")

describe("the id of a peer", () => {
  it("has 16 bytes, wherever they are in memory, and no others", () => {
    const bytes = toBytes(id)
    const within = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)])

    assert.strictEqual(Buffer.from(bytes).toString("hex"), "6c3bdf9e2f3f4c1d9a3e0d3c5a3f9d10")
    assert.deepStrictEqual(fromBytes(bytes), Option.some(id))
    assert.deepStrictEqual(fromBytes(within.subarray(3, 19)), Option.some(id))
    for (const length of [0, 15, 17]) assert.deepStrictEqual(fromBytes(within.subarray(3, 3 + length)), Option.none())
  })

  it("is a UUID in lower case", () => {
    for (const text of ["", "x", id.toUpperCase(), ` ${id}`, `${id}0`, id.replaceAll("-", "")]) {
      assert.throws(() => PeerId.make(text))
    }
  })
})

describe("updates", () => {
  it("are in responses of 1 024 at most, of which there are none without an update [TC-05]", () => {
    const updates = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ id, kind: "lost" as const, reason: `${index}` }))

    for (const [count, sizes] of [
      [0, []],
      [1, [1]],
      [1_024, [1_024]],
      [1_025, [1_024, 1]]
    ] as const) {
      const responses = toResponses(updates(count))
      assert.deepStrictEqual(
        responses.map(({ updates }) => updates.length),
        [...sizes]
      )
      assert.deepStrictEqual(
        responses.flatMap(({ updates }) => updates),
        updates(count)
      )
    }
  })
})
