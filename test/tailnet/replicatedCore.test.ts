/** The rules of a coordinator among several, without a store: the test says what was read. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId } from "../../src/domain/Ids.ts"
import type { Change, PeerRow } from "../../src/tailnet/CoordinatorStore.ts"
import { LocalPeer, type Outputs } from "../../src/tailnet/internal/core.ts"
import { ReplicatedCore } from "../../src/tailnet/internal/replicatedCore.ts"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as Seed from "../support/seed.ts"
import { described, newPeerId, node } from "./support.ts"

const [self, other] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]

/** The outputs as lines, with peers by their names. */
const names = new Map<PeerId, string>()
const nameOf = (id: PeerId) => names.get(id) ?? id
const lines = (outputs: Outputs): ReadonlyArray<string> =>
  outputs.flatMap((output) =>
    "end" in output
      ? [`${nameOf(output.to.id)} ends: ${output.end}`]
      : described(output.response, nameOf).map((line) => `${nameOf(output.to.id)}: ${line}`)
  )

const named = (name: string): PeerId => {
  const id = newPeerId()
  names.set(id, name)
  return id
}

const lineOf = (change: Change): string =>
  change._tag === "peer"
    ? `${nameOf(change.id)} ${change.status} ${Buffer.from(change.node).toString()} ${change.startedAt} ${change.changedAt}`
    : `${nameOf(change.source)} ${change.isOpen ? "to" : "not to"} ${nameOf(change.target)}`

/** The changes that were not taken yet. */
const changesOf = (core: ReplicatedCore): ReadonlyArray<string> => core.takeChanges(100).map(lineOf)

/** The peers whose rows, or tunnels, are to be read. */
const staleOf = (core: ReplicatedCore) => {
  const { rows, tunnels } = core.takeStale(100)
  return { rows: rows.map(nameOf), tunnels: tunnels.map(nameOf) }
}

const nothing = { rows: [], tunnels: [] }

const row = (id: PeerId, text: string, values: Partial<PeerRow> = {}): PeerRow => ({
  id,
  replicaId: other,
  isReplicaAlive: true,
  status: "ok",
  node: node(text).bytes,
  startedAt: 1,
  changedAt: 1,
  ...values
})

const open = (core: ReplicatedCore, name: string, startedAt = 1, id = named(name)): LocalPeer => {
  const peer = new LocalPeer(id, name, startedAt)
  core.open(peer)
  return peer
}

/** Everything that waits was written and took effect. */
const write = (core: ReplicatedCore, accepted?: ReadonlyArray<PeerId>) => {
  const changes = core.takeChanges(100)
  core.written(changes, accepted ?? changes.flatMap((change) => (change._tag === "peer" ? [change.id] : [])))
  return changes
}

const coreAt = (now = 7) => new ReplicatedCore(self, () => now)

/** A client here with a tunnel to an agent of another replica, of which all is written and read. */
const apart = () => {
  const core = coreAt()
  const [client, agent] = [open(core, "client"), named("agent")]
  core.updateNode(client, node("c1"))
  core.addTunnel(client, agent)
  core.applyPeers([agent], [row(agent, "a1")])
  write(core)
  core.takeStale(100)
  return { core, client, agent }
}

/** A client and an agent here that know each other, of which all is written. */
const near = () => {
  const core = coreAt()
  const [client, agent] = [open(core, "client"), open(core, "agent")]
  core.updateNode(client, node("c1"))
  core.updateNode(agent, node("a1"))
  core.addTunnel(client, agent.id)
  write(core)
  core.takeStale(100)
  return { core, client, agent }
}

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
