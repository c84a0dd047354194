/** The rules of a coordinator among several, without a store: the news of the store and of other replicas. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId } from "../../src/domain/Ids.ts"
import type { PeerRow } from "../../src/tailnet/CoordinatorStore.ts"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as Seed from "../support/seed.ts"
import { newPeerId, node } from "./support.ts"

import {
  apart,
  changesOf,
  coreAt,
  lineOf,
  lines,
  nameOf,
  named,
  near,
  nothing,
  open,
  other,
  row,
  self,
  staleOf,
  write
} from "./coreSupport.ts"

describe("the core of a replica", () => {
  it("tells partners each new row of a peer, and an equal one never again", () => {
    const { agent, core } = apart()
    const apply = (...found: ReadonlyArray<PeerRow>) => lines(core.applyPeers([agent], found))

    assert.deepStrictEqual(apply(row(agent, "a1", { changedAt: 9 })), [])
    assert.strictEqual(core.remoteChangeOf(agent), 9)
    assert.deepStrictEqual(apply(row(agent, "a2")), ["client: node agent a2 (update)"])
    assert.deepStrictEqual(apply(row(agent, "a2", { status: "lost" })), ["client: lost agent (lost)"])
    assert.deepStrictEqual(apply(row(agent, "a2", { status: "lost" })), [])
    assert.deepStrictEqual(apply(row(agent, "a2")), ["client: node agent a2 (found)"])
    assert.deepStrictEqual(apply(), ["client: disconnected agent (disconnected)"])
    assert.deepStrictEqual(apply(), [])
    assert.deepStrictEqual(apply(row(agent, "a3", { status: "lost" })), [])
    assert.deepStrictEqual(apply(row(agent, "a3")), ["client: node agent a3 (new)"])
  })

  it("lets a change that is not written yet stand above what is read, unless a newer stream is elsewhere", () => {
    const { agent, client, core } = near()
    core.updateNode(agent, node("a2"))
    const waiting = core.takeChanges(100)
    const apply = (values: Partial<PeerRow>) => lines(core.applyPeers([agent.id], [row(agent.id, "b1", values)]))

    assert.deepStrictEqual(apply({ replicaId: self }), [])
    assert.deepStrictEqual(apply({ startedAt: 1 }), [])
    assert.deepStrictEqual(apply({ startedAt: 2, status: "lost" }), [])
    assert.deepStrictEqual(lines(core.applyPeers([agent.id], [])), [])
    assert.deepStrictEqual(changesOf(core), [])
    assert.deepStrictEqual(apply({ startedAt: 2 }), ["client: node agent b1 (update)"])

    core.lose(client, "lost")
    assert.deepStrictEqual(lines(core.applyPeers([client.id], [row(client.id, "d1", { startedAt: 9 })])), [])
    assert.deepStrictEqual(waiting.length, 1)
  })

  it("lets what was written since a reading began stand above what it returns, and reads that again [TC-55]", () => {
    const { agent, client, core } = near()
    core.beginReading()
    core.addTunnel(client, named("third"))
    core.removeTunnel(client, agent.id)
    core.updateNode(agent, node("a2"))
    const [third] = write(core).flatMap((change) => (change._tag === "tunnel" && change.isOpen ? [change] : []))
    core.takeStale(100)

    const before = [{ source: client.id, target: agent.id }]
    assert.deepStrictEqual(lines(core.applyTunnels([client.id], before)), [])
    assert.strictEqual(core.sizes().tunnels, 1)
    assert.deepStrictEqual(staleOf(core), { rows: [], tunnels: ["client", "agent"] })
    const lost = row(agent.id, "a1", { replicaId: self, status: "lost" })
    assert.deepStrictEqual(lines(core.applyPeers([agent.id], [lost])), [])
    assert.deepStrictEqual(changesOf(core), [])
    assert.deepStrictEqual(staleOf(core), { rows: ["agent"], tunnels: [] })
    core.endReading()

    core.beginReading()
    assert.deepStrictEqual(lines(core.applyTunnels([client.id], [third!])), [])
    assert.strictEqual(core.sizes().tunnels, 1)
    assert.deepStrictEqual(lines(core.applyTunnels([client.id], before)), [
      "client: node agent a2 (new)",
      "agent: node client c1 (new)"
    ])
    assert.strictEqual(core.sizes().tunnels, 1)
    assert.deepStrictEqual(staleOf(core), nothing)
  })

  it("writes a peer of this replica again that the store has lost, or has from an older stream", () => {
    const { agent, core } = near()
    const writtenAfter = (...found: ReadonlyArray<PeerRow>) => {
      assert.deepStrictEqual(lines(core.applyPeers([agent.id], found)), [])
      return write(core).map(lineOf)
    }

    assert.deepStrictEqual(writtenAfter(row(agent.id, "a1", { replicaId: self })), [])
    for (const found of [[], [row(agent.id, "b1")], [row(agent.id, "a1", { replicaId: self, status: "lost" })]]) {
      assert.deepStrictEqual(writtenAfter(...found), ["agent ok a1@ 1 7"])
    }
  })

  it("takes a row of its own without a stream for a lost peer, and with one for what the row says", () => {
    const core = coreAt()
    const [client, gone, here] = [open(core, "client"), named("gone"), named("here")]
    core.addTunnel(client, gone)
    core.addTunnel(client, here)
    open(core, "here", 2, here)

    assert.deepStrictEqual(lines(core.applyPeers([gone], [row(gone, "g1", { replicaId: self })])), [])
    assert.deepStrictEqual(lines(core.applyPeers([here], [row(here, "h1", { replicaId: self })])), [
      "client: node here h1 (new)"
    ])
    assert.deepStrictEqual([...core.knownReplicas()], [])
    assert.isUndefined(core.remoteChangeOf(here))
  })

  it("counts the peers of a replica that is not alive as lost, and finds them when it is", () => {
    const { agent, core } = apart()
    const alive = (isAlive: boolean, replica = other) => lines(core.setAlive(new Map([[replica, isAlive]])))

    assert.deepStrictEqual([...core.knownReplicas()], [[other, true]])
    assert.deepStrictEqual(alive(true), [])
    assert.deepStrictEqual(alive(false), ["client: lost agent (lost)"])
    assert.deepStrictEqual(alive(false), [])
    // a row tells only of a replica that is not known
    assert.deepStrictEqual(lines(core.applyPeers([agent], [row(agent, "a2")])), [])
    assert.deepStrictEqual(alive(false, Seed.newId(ReplicaId)), [])
    assert.deepStrictEqual(alive(true), ["client: node agent a2 (found)"])
    assert.deepStrictEqual([...core.knownReplicas()].slice(0, 1), [[other, true]])

    const third = Seed.newId(ReplicaId)
    const dead = row(agent, "a2", { replicaId: third, isReplicaAlive: false })
    assert.deepStrictEqual(lines(core.applyPeers([agent], [dead])), ["client: lost agent (lost)"])
    assert.isFalse(core.knownReplicas().get(third))
    // nor is it newer than a stream here
    const here = open(core, "agent", 0, agent)
    core.updateNode(here, node("a3"))
    assert.deepStrictEqual(lines(core.applyPeers([agent], [{ ...dead, startedAt: 9 }])), [])
  })

  it("takes tunnels of others to its peers, reads their far ends, and drops those that are gone [TC-33]", () => {
    const { agent, client, core } = apart()
    const [far, strangers] = [named("far"), [named("one"), named("two")] as const]
    const tunnels = (...found: ReadonlyArray<readonly [PeerId, PeerId]>) =>
      lines(
        core.applyTunnels(
          [client.id],
          found.map(([source, target]) => ({ source, target }))
        )
      )

    assert.deepStrictEqual(tunnels([client.id, agent], [far, client.id], strangers), [])
    assert.deepStrictEqual(core.sizes(), { peers: 1, tunnels: 2 })
    assert.deepStrictEqual(staleOf(core), { rows: ["far"], tunnels: [] })
    assert.deepStrictEqual(lines(core.applyPeers([far], [row(far, "f1")])), ["client: node far f1 (new)"])

    assert.deepStrictEqual(tunnels([client.id, agent], [far, client.id]), [])
    assert.deepStrictEqual(tunnels([client.id, agent]), ["client: disconnected far (disconnected)"])
    assert.isUndefined(core.remoteChangeOf(far))
    assert.deepStrictEqual(tunnels(), ["client: disconnected agent (disconnected)"])
    assert.deepStrictEqual(core.sizes(), { peers: 1, tunnels: 0 })
    assert.deepStrictEqual(staleOf(core), nothing)
    // one that comes back is told at once, for its far end is known as long as it has a partner
    const near = open(core, "near")
    core.updateNode(near, node("n1"))
    assert.deepStrictEqual(tunnels([near.id, client.id]), ["near: node client c1 (new)", "client: node near n1 (new)"])
    assert.deepStrictEqual(staleOf(core), { rows: [], tunnels: ["near"] })
  })

  it("lets a tunnel that is not written yet stand above what is read", () => {
    const { agent, client, core } = apart()
    const [added, peers] = [named("added"), core.sizes().peers]
    core.addTunnel(client, added)
    core.removeTunnel(client, agent)

    assert.deepStrictEqual(lines(core.applyTunnels([client.id], [{ source: client.id, target: agent }])), [])
    assert.deepStrictEqual(core.sizes(), { peers, tunnels: 1 })
    assert.isTrue(core.hasTunnel(client.id, added))
  })

  it("keeps the tunnels to a peer that has left while they were read", () => {
    const { agent, client, core } = near()
    core.lose(agent, "lost")
    write(core)

    assert.deepStrictEqual(lines(core.applyTunnels([agent.id], [])), [])
    assert.isTrue(core.hasTunnel(client.id, agent.id))
  })

  it("reads what other replicas have changed, of that what concerns its peers", () => {
    const { agent, client, core } = apart()
    const unread = named("unread")
    core.addTunnel(client, unread)
    core.takeStale(100)
    const stranger = named("stranger")

    core.peersChanged([agent, unread, stranger])
    core.tunnelsChanged([client.id, agent, stranger])
    assert.deepStrictEqual(staleOf(core), { rows: ["agent", "unread"], tunnels: ["client"] })
    assert.deepStrictEqual(staleOf(core), nothing)

    core.resync()
    assert.deepStrictEqual(staleOf(core), { rows: ["client", "agent"], tunnels: ["client"] })
  })

  it("hands out readings in pieces, tunnels first", () => {
    const { core } = apart()
    core.resync()

    const taken = [core.takeStale(2), core.takeStale(0), core.takeStale(2)]

    assert.deepStrictEqual(
      taken.map(({ rows, tunnels }) => [tunnels.map(nameOf), rows.map(nameOf)]),
      [
        [["client"], ["client"]],
        [[], []],
        [[], ["agent"]]
      ]
    )
  })

  it("passes on handshakes of other replicas along tunnels, and hands out its own once", () => {
    const { agent, client, core } = apart()
    const stranger = named("stranger")

    assert.deepStrictEqual(lines(core.handshake({ from: agent, to: client.id })), ["client: readyForHandshake agent"])
    assert.deepStrictEqual(core.handshake({ from: stranger, to: client.id }), [])
    assert.deepStrictEqual(core.handshake({ from: client.id, to: agent }), [])

    assert.deepStrictEqual(core.ready(client, [agent]), [])
    assert.deepStrictEqual(core.takeHandshakes(), [{ from: client.id, to: agent }])
    assert.deepStrictEqual(core.takeHandshakes(), [])
  })

  it("reads the peers whose change took no effect, and not those that are gone", () => {
    const { agent, client, core } = near()
    core.updateNode(agent, node("a2"))
    core.updateNode(client, node("c2"))
    const gone = open(core, "gone")
    core.updateNode(gone, node("g1"))
    core.disconnect(gone)
    core.takeStale(100)

    write(core, [client.id])

    assert.deepStrictEqual(staleOf(core), { rows: ["agent"], tunnels: [] })
  })

  it("says when another replica took a node, and nothing of its own", () => {
    const { agent, client, core } = apart()
    core.applyPeers([agent], [row(agent, "a2", { changedAt: 5 })])

    assert.deepStrictEqual([core.remoteChangeOf(agent), core.remoteChangeOf(client.id)], [5, undefined])
    assert.isUndefined(core.remoteChangeOf(newPeerId()))
  })
})
