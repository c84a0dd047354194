import { assert, describe, it } from "@effect/vitest"
import { Outbox } from "../../src/tailnet/internal/outbox.ts"
import { newPeerId, node } from "./support.ts"

describe("the outbox", () => {
  it("hands out the nodes of peers before tunnels that waited longer, and each once [TC-49]", () => {
    const outbox = new Outbox()
    const [source, target] = [newPeerId(), newPeerId()]
    outbox.addTunnel(source, target, true)
    outbox.addPeer({ _tag: "peer", id: source, status: "ok", node: node("a1").bytes, startedAt: 1, changedAt: 1 })
    const take = () => outbox.take(1).map(({ _tag }) => _tag)

    assert.deepStrictEqual([take(), take(), take()], [["peer"], ["tunnel"], []])
  })

  it("holds a change until it is written, and a later one of the same peer or tunnel longer", () => {
    const outbox = new Outbox()
    const [source, target] = [newPeerId(), newPeerId()]
    const add = (startedAt: number, isOpen: boolean) => {
      outbox.addPeer({ _tag: "peer", id: source, status: "ok", node: node("a1").bytes, startedAt, changedAt: 1 })
      outbox.addTunnel(source, target, isOpen)
      return outbox.take(2)
    }
    const holds = () => [outbox.hasPeer(source), outbox.hasTunnel(source, target)]
    const [first, second] = [add(1, true), add(2, false)]

    for (const change of first) outbox.written(change)
    assert.deepStrictEqual(holds(), [true, true])
    for (const change of second) outbox.written(change)
    assert.deepStrictEqual(holds(), [false, false])
  })
})
