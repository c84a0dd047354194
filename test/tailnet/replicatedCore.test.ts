/** The rules of a coordinator among several, without a store: the requests of its peers. */
import { assert, describe, it } from "@effect/vitest"
import { LocalPeer } from "../../src/tailnet/internal/core.ts"
import { node } from "./support.ts"

import { apart, changesOf, coreAt, lines, named, near, nothing, open, row, staleOf, write } from "./coreSupport.ts"

describe("the core of a replica", () => {
  it("writes the node of a peer with both of its times, and a node that differs in its time alone once", () => {
    const core = coreAt(7)
    const peer = open(core, "peer", 5)

    core.updateNode(peer, node("p1", "early"))
    assert.deepStrictEqual(changesOf(core), ["peer ok p1@early 5 7"])
    core.updateNode(peer, node("p1", "late"))
    assert.deepStrictEqual(changesOf(core), [])
    core.updateNode(peer, node("p2"))
    assert.deepStrictEqual(changesOf(core), ["peer ok p2@ 5 7"])
  })

  it("writes the same node again for a newer stream, and for one that was elsewhere meanwhile [TC-38]", () => {
    const { agent, client, core } = near()
    const again = open(core, "agent", 3, agent.id)
    core.updateNode(again, node("a1"))
    assert.deepStrictEqual(changesOf(core), ["agent ok a1@ 3 7"])

    core.written(
      [{ _tag: "peer", id: agent.id, status: "ok", node: node("a1").bytes, startedAt: 3, changedAt: 7 }],
      [agent.id]
    )
    assert.deepStrictEqual(lines(core.applyPeers([agent.id], [row(agent.id, "b1", { startedAt: 4 })])), [
      "client: node agent b1 (update)"
    ])
    assert.deepStrictEqual(lines(core.updateNode(again, node("a1"))), ["client: node agent a1 (update)"])
    assert.deepStrictEqual(changesOf(core), ["agent ok a1@ 3 7"])
    assert.strictEqual(core.find(client.id), client)
  })

  it("writes a tunnel once, and reads the row of its target unless that is here", () => {
    const core = coreAt()
    const [client, agent, far] = [open(core, "client"), open(core, "agent"), named("far")]
    core.updateNode(agent, node("a1"))
    assert.deepStrictEqual(staleOf(core), { rows: [], tunnels: ["client", "agent"] })
    assert.deepStrictEqual(changesOf(core), ["agent ok a1@ 1 7"])

    for (const target of [agent.id, far, far, client.id]) core.addTunnel(client, target)

    assert.deepStrictEqual(changesOf(core), ["client to agent", "client to far"])
    assert.deepStrictEqual(staleOf(core), { rows: ["far"], tunnels: [] })
  })

  it("writes that a tunnel is removed, forgets its far end, and takes one that is not there for nothing", () => {
    const { agent, client, core } = apart()

    assert.deepStrictEqual(lines(core.removeTunnel(client, agent)), ["client: disconnected agent (disconnected)"])
    assert.deepStrictEqual(changesOf(core), ["client not to agent"])
    assert.deepStrictEqual(lines(core.removeTunnel(client, agent)), [])
    assert.deepStrictEqual(changesOf(core), [])
    core.peersChanged([agent])
    assert.deepStrictEqual(staleOf(core), nothing)
    assert.isUndefined(core.remoteChangeOf(agent))
  })

  it("takes requests of a stream that is over for nothing", () => {
    const { agent, client, core } = near()
    core.lose(client, "lost")
    changesOf(core)

    const outputs = [
      core.updateNode(client, node("c2")),
      core.addTunnel(client, agent.id),
      core.removeTunnel(client, agent.id),
      core.lose(client, "lost"),
      core.disconnect(client),
      core.overflow(client)
    ]

    assert.deepStrictEqual(outputs.flat(), [])
    assert.deepStrictEqual(changesOf(core), [])
  })

  it("writes that a peer is lost with the node that it had, and nothing of a peer without one", () => {
    const { client, core } = near()
    const silent = open(core, "silent")

    assert.deepStrictEqual(lines(core.lose(client, "lost")), ["agent: lost client (lost)", "client ends: lost"])
    assert.deepStrictEqual(changesOf(core), ["client lost c1@ 1 7"])
    assert.deepStrictEqual(lines(core.lose(silent, "refused")), ["silent ends: refused"])
    assert.deepStrictEqual(changesOf(core), [])
  })

  it("writes nothing of the end of a stream whose peer is elsewhere, and tells partners nothing [TC-38]", () => {
    const { agent, core } = near()
    core.applyPeers([agent.id], [row(agent.id, "b1", { startedAt: 2 })])

    assert.deepStrictEqual(lines(core.lose(agent, "lost")), ["agent ends: lost"])
    assert.deepStrictEqual(changesOf(core), [])
  })

  it("removes a peer that disconnects with the tunnels that it opened, and keeps those of others", () => {
    const { agent, client, core } = near()
    const back = open(core, "back")
    core.addTunnel(back, client.id)
    write(core)

    assert.deepStrictEqual(lines(core.disconnect(client)), [
      "agent: disconnected client (disconnected)",
      "back: disconnected client (disconnected)",
      "client ends: disconnect"
    ])
    assert.deepStrictEqual(changesOf(core), ["client gone  1 7", "client not to agent"])
    assert.isFalse(core.hasTunnel(client.id, agent.id))
    assert.isTrue(core.hasTunnel(back.id, client.id))
    assert.deepStrictEqual(core.sizes(), { peers: 2, tunnels: 1 })
  })

  it("keeps what it knows of a disconnected peer that is elsewhere, unless it is lost there", () => {
    for (const [status, told] of [
      ["ok", []],
      ["lost", ["client: disconnected agent (disconnected)"]]
    ] as const) {
      const { agent, client, core } = apart()
      const silent = open(core, "agent", 3, agent)
      core.applyPeers([agent], [row(agent, "b1", { status })])

      assert.deepStrictEqual(lines(core.disconnect(silent)), [...told, "agent ends: disconnect"])
      assert.isTrue(core.hasTunnel(client.id, agent))
    }
  })

  it("forgets the peers of other replicas when the last partner of them leaves", () => {
    for (const leave of ["lose", "disconnect", "overflow"] as const) {
      const { agent, client, core } = apart()
      const waits = open(core, "waits")
      core.addTunnel(waits, agent)
      write(core)

      core[leave](waits, "lost")
      assert.deepStrictEqual(core.sizes(), { peers: 1, tunnels: 1 })
      assert.strictEqual(core.remoteChangeOf(agent), 1)
      core[leave](client, "lost")
      assert.deepStrictEqual(core.sizes(), { peers: 0, tunnels: 0 })
      assert.isUndefined(core.remoteChangeOf(agent))

      write(core)
      core.takeStale(100)
      core.peersChanged([agent, client.id, waits.id])
      core.resync()
      assert.deepStrictEqual(staleOf(core), nothing)
    }
  })

  it("tells a peer at its start the partners that it has", () => {
    const { agent, client, core } = near()
    core.disconnect(agent)

    core.addTunnel(client, agent.id)
    const again = new LocalPeer(agent.id, "agent", 2)
    assert.deepStrictEqual(lines(core.open(again)), ["agent: node client c1 (new)"])
    assert.deepStrictEqual(staleOf(core).tunnels, ["agent"])
  })

  it("ends all streams with an error, and writes that their peers are lost", () => {
    const { core } = near()

    assert.deepStrictEqual(lines(core.close("closed", "closed")), [
      "client: error: closed",
      "client ends: closed",
      "agent: error: closed",
      "agent ends: closed"
    ])
    assert.deepStrictEqual(changesOf(core), ["client lost c1@ 1 7", "agent lost a1@ 1 7"])
    assert.deepStrictEqual(core.sizes(), { peers: 0, tunnels: 0 })
  })
})
