/** The messages of the tailnet against recorded ones of the original's libraries. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import * as DerpMapMessage from "../../src/agentapi/wire/DerpMapMessage.ts"
import { decodeRequest, encodeResponse } from "../../src/tailnet/internal/messages.ts"
import { errors, isSameNode, isSameNodeAtAnyTime, type Node, PeerId } from "../../src/tailnet/Peer.ts"
import {
  CoordinateRequestSchema,
  CoordinateResponseSchema,
  DERPMapSchema
} from "../../src/wire/generated/tailnet_pb.ts"
import { recordedMap } from "./support.ts"

const { vectors } = JSON.parse(readFileSync("test/wire/vectors/messages.json", "utf8")) as {
  readonly vectors: ReadonlyArray<{ readonly name: string; readonly hex: string }>
}

const recorded = (name: string): Uint8Array => Buffer.from(vectors.find((vector) => vector.name === name)!.hex, "hex")

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const idOf = (byte: string) => PeerId.make(`${byte.repeat(8)}-${`${byte.repeat(4)}-`.repeat(3)}${byte.repeat(12)}`)

const decoded = (bytes: Uint8Array) => Result.getOrThrow(decodeRequest(bytes))

const update = (node: object): Node =>
  decoded(toBinary(CoordinateRequestSchema, create(CoordinateRequestSchema, { updateSelf: { node } }))).updateSelf!

describe("messages of the tailnet", () => {
  it("refuses a request with more fields than any peer sends, without reading it [TC-53]", () => {
    const ids = (count: number) =>
      toBinary(
        CoordinateRequestSchema,
        create(CoordinateRequestSchema, {
          readyForHandshake: Array.from({ length: count }, () => ({ id: new Uint8Array(16) }))
        })
      )

    assert.lengthOf(decoded(ids(131_072)).readyForHandshake!, 131_072)
    assert.deepStrictEqual(decodeRequest(ids(131_073)), Result.fail("the message has more than 131072 fields"))
  })

  it("reads recorded requests", () => {
    assert.isTrue(decoded(recorded("coordinate: disconnect")).disconnect)
    assert.strictEqual(decoded(recorded("coordinate: add tunnel")).addTunnel, idOf("1"))
    assert.deepStrictEqual(decoded(recorded("coordinate: ready for handshake")).readyForHandshake, [idOf("7")])
    const { updateSelf } = decoded(recorded("coordinate: update_self"))
    assert.isAbove(updateSelf!.addresses.length, 0)
  })

  it("writes responses as they were recorded, with the node that the peer has sent", () => {
    const { updateSelf: node } = decoded(recorded("coordinate: update_self"))
    const [peer, other] = [idOf("7"), idOf("1")]
    const normal = (bytes: Uint8Array) =>
      hex(toBinary(CoordinateResponseSchema, fromBinary(CoordinateResponseSchema, bytes)))
    const recordedNode = recorded("coordinate answer: peer node")
    const reason = fromBinary(CoordinateResponseSchema, recordedNode).peerUpdates[0]!.reason

    assert.strictEqual(
      normal(encodeResponse({ updates: [{ id: peer, kind: "node", node, reason }] })),
      normal(recordedNode)
    )
    assert.strictEqual(
      hex(encodeResponse({ updates: [{ id: peer, kind: "lost", reason: "lost" }] })),
      hex(recorded("coordinate answer: peer lost"))
    )
    assert.strictEqual(
      hex(encodeResponse({ updates: [{ id: other, kind: "readyForHandshake", reason: "" }] })),
      hex(recorded("coordinate answer: ready for handshake"))
    )
    assert.strictEqual(
      hex(encodeResponse({ updates: [], error: errors.authorization("agents cannot open tunnels") })),
      hex(recorded("coordinate answer: error"))
    )
  })

  it("writes DERP maps as they were recorded, with the part without which a stock client ends [TU-06]", () => {
    const map = (json: object) =>
      hex(toBinary(DERPMapSchema, create(DERPMapSchema, DerpMapMessage.fromJson({ ...json }))))

    assert.strictEqual(
      map({ Regions: {} }),
      hex(recorded("DERP map without regions (home_params must still be there)"))
    )
    assert.strictEqual(map(recordedMap), hex(recorded("DERP map with the embedded relay")))
  })

  it("takes nodes for the same in whichever order their latencies come, and at whichever time if asked", () => {
    const node = { id: 1n, derpLatency: { b: 2, a: 1 }, asOf: { seconds: 1n } }
    const one = update(node)

    assert.isTrue(isSameNode(one, update({ ...node, derpLatency: { a: 1, b: 2 } })))
    assert.isFalse(isSameNode(one, update({ ...node, asOf: { seconds: 2n } })))
    assert.isTrue(isSameNodeAtAnyTime(one, update({ ...node, asOf: { seconds: 2n } })))
    assert.isFalse(isSameNodeAtAnyTime(one, update({ ...node, id: 2n, asOf: { seconds: 2n } })))
  })

  it("says what is malformed of a request [TC-41]", () => {
    const failure = (bytes: Uint8Array) => {
      const result = decodeRequest(bytes)
      return Result.isFailure(result) ? result.failure : undefined
    }
    const request = (init: object) => toBinary(CoordinateRequestSchema, create(CoordinateRequestSchema, init))
    const fifteen = { id: new Uint8Array(15) }
    const text = "unable to convert bytes to UUID: invalid UUID (got 15 bytes)"

    assert.strictEqual(failure(request({ updateSelf: {} })), "update_self must have a node")
    assert.strictEqual(failure(request({ addTunnel: fifteen })), text)
    assert.strictEqual(failure(request({ removeTunnel: fifteen })), text)
    assert.strictEqual(failure(request({ readyForHandshake: [{ id: new Uint8Array(16) }, fifteen] })), text)
    assert.strictEqual(failure(Uint8Array.of(0xff)), "the message is no CoordinateRequest")
    // a string that is no UTF-8 would end the streams of stock partners
    assert.strictEqual(failure(Buffer.from("0a060a042202fffe", "hex")), "the message is no CoordinateRequest")
    assert.isUndefined(failure(request({})))
  })

  it("gives the authority the addresses of the node", () => {
    const node = update({ addresses: ["::1/128"], allowedIps: ["::/0"] })

    assert.deepStrictEqual([node.addresses, node.allowedIps], [["::1/128"], ["::/0"]])
  })
})
