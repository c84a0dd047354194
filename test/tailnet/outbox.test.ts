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
})
