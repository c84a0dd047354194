/** The core in memory against a model that is as plain as can be: lists that are searched from end to end. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { LocalPeer, type Outputs } from "../../src/tailnet/internal/core.ts"
import { MemoryCore } from "../../src/tailnet/internal/memoryCore.ts"
import { type Node, PeerId } from "../../src/tailnet/Peer.ts"
import { described, newPeerId, node, textOf } from "./support.ts"

const ids = Array.from({ length: 4 }, (_, index) => PeerId.make(`00000000-0000-4000-8000-00000000000${index}`))

const Place = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
const Step = Schema.Struct({
  kind: Schema.Literals(["open", "update", "add", "remove", "disconnect", "lose", "overflow", "ready", "stale"]),
  peer: Place,
  other: Place,
  text: Schema.Literals(["x", "y"])
})
type Step = typeof Step.Type

/** The rules, in terms of lists. */
class Model {
  streams: Array<{ id: PeerId; node: Node | undefined; sent: Array<[PeerId, string]> }> = []
  tunnels: Array<[PeerId, PeerId]> = []

  partnersOf(id: PeerId) {
    return this.streams.filter((stream) =>
      this.tunnels.some(([a, b]) => (a === id && b === stream.id) || (b === id && a === stream.id))
    )
  }

  learn(to: Model["streams"][number], id: PeerId, node: Node, reason: string): Array<string> {
    const index = to.sent.findIndex(([known]) => known === id)
    if (index >= 0 && to.sent[index]![1] === textOf(node)) return []
    if (index >= 0) to.sent.splice(index, 1)
    to.sent.push([id, textOf(node)])
    return [`${to.id}: node ${id} ${textOf(node)} (${reason})`]
  }

  forget(to: Model["streams"][number], id: PeerId, kind: string, reason: string): Array<string> {
    const index = to.sent.findIndex(([known]) => known === id)
    if (index < 0) return []
    to.sent.splice(index, 1)
    return [`${to.id}: ${kind} ${id} (${reason})`]
  }

  leave(id: PeerId, kind: string, reason: string): Array<string> {
    if (!this.streams.some((stream) => stream.id === id)) return []
    const told = this.partnersOf(id).flatMap((partner) => this.forget(partner, id, kind, reason))
    this.streams = this.streams.filter((stream) => stream.id !== id)
    this.tunnels = this.tunnels.filter(([source]) => source !== id)
    return [...told, `${id}: end`]
  }

  take({ kind, other, peer, text }: Step): Array<string> {
    const [id, to] = [ids[peer]!, ids[other]!]
    const stream = this.streams.find((stream) => stream.id === id)
    const partner = this.streams.find((stream) => stream.id === to)
    if (kind === "open") {
      const ended = stream === undefined ? [] : [`${id}: error: peer ID overwritten by new connection`, `${id}: end`]
      this.streams = this.streams.filter((stream) => stream.id !== id)
      const fresh: Model["streams"][number] = { id, node: undefined, sent: [] }
      this.streams.push(fresh)
      const known = this.partnersOf(id).flatMap(({ id, node }) =>
        node === undefined ? [] : this.learn(fresh, id, node, "init")
      )
      return [...ended, ...known]
    }
    if (stream === undefined || kind === "stale") return []
    switch (kind) {
      case "update":
        stream.node = node(text)
        return this.partnersOf(id).flatMap((partner) => this.learn(partner, id, node(text), "node update"))
      case "add": {
        if (id === to) return []
        if (!this.tunnels.some(([a, b]) => a === id && b === to)) this.tunnels.push([id, to])
        if (partner === undefined) return []
        return [
          ...(partner.node === undefined ? [] : this.learn(stream, to, partner.node, "add tunnel")),
          ...(stream.node === undefined ? [] : this.learn(partner, id, stream.node, "add tunnel"))
        ]
      }
      case "remove": {
        if (!this.tunnels.some(([a, b]) => a === id && b === to)) return []
        this.tunnels = this.tunnels.filter(([a, b]) => a !== id || b !== to)
        return [
          ...this.forget(stream, to, "disconnected", "remove tunnel"),
          ...(partner === undefined ? [] : this.forget(partner, id, "disconnected", "remove tunnel"))
        ]
      }
      case "disconnect":
        return this.leave(id, "disconnected", "graceful disconnect")
      case "lose":
        return this.leave(id, "lost", "lost")
      case "overflow":
        return [
          `${id}: error: peer does not read its updates fast enough`,
          ...this.leave(id, "disconnected", "failed update")
        ]
      case "ready": {
        if (!this.tunnels.some(([a, b]) => (a === id && b === to) || (a === to && b === id))) {
          return [`${id}: error: ready for handshake error: you do not share a tunnel with "${to}"`]
        }
        return partner === undefined ? [] : [`${to}: readyForHandshake ${id}`]
      }
    }
  }
}

const lines = (outputs: Outputs): Array<string> =>
  outputs.flatMap((output) =>
    "end" in output
      ? [`${output.to.id}: end`]
      : described(output.response, (id) => id).map((line) => `${output.to.id}: ${line}`)
  )

/** Applies a step to the core; a step of a peer without a stream is made with one that is over. */
const apply = (core: MemoryCore, { kind, other, peer, text }: Step): Outputs => {
  const id = ids[peer]!
  const stale = new LocalPeer(id, id, 0)
  if (kind === "open") return core.open(stale)
  const local = kind === "stale" ? stale : (core.find(id) ?? stale)
  switch (kind) {
    case "update":
      return core.updateNode(local, node(text))
    case "add":
      return core.addTunnel(local, ids[other]!)
    case "remove":
      return core.removeTunnel(local, ids[other]!)
    case "disconnect":
      return core.disconnect(local)
    case "lose":
      return core.lose(local, "lost")
    case "overflow":
      return core.overflow(local)
    case "ready":
      return core.ready(local, [ids[other]!])
    case "stale":
      return [
        ...core.updateNode(local, node(text)),
        ...core.addTunnel(local, ids[other]!),
        ...core.removeTunnel(local, ids[other]!),
        ...core.ready(local, [ids[other]!]),
        ...core.disconnect(local),
        ...core.lose(local, "lost"),
        ...core.overflow(local)
      ]
  }
}

describe("the core in memory", () => {
  it.prop(
    "tells everybody what a plain model says, whatever is done in whichever order",
    { steps: Schema.Array(Step).check(Schema.isMinLength(20), Schema.isMaxLength(60)) },
    ({ steps }) => {
      const core = new MemoryCore()
      const model = new Model()
      for (const step of steps) {
        assert.deepStrictEqual(lines(apply(core, step)).sort(), model.take(step).sort(), JSON.stringify(step))
        assert.deepStrictEqual(core.sizes(), { peers: model.streams.length, tunnels: model.tunnels.length })
      }
    },
    { arbitrary: { runs: 500 } }
  )

  it("tells partners and nobody else while a hundred peers have a million tunnels [TC-24]", () => {
    const core = new MemoryCore()
    const [agent, client] = ids.map((id) => new LocalPeer(id, id, 0)) as [LocalPeer, LocalPeer]
    const crowd = Array.from({ length: 100 }, () => new LocalPeer(newPeerId(), "one of many", 0))
    const targets = Array.from({ length: 10_000 }, newPeerId)
    for (const peer of [agent, client, ...crowd]) core.open(peer)
    core.addTunnel(client, agent.id)
    for (const peer of crowd) {
      core.updateNode(peer, node("c1"))
      for (const target of targets) core.addTunnel(peer, target)
    }
    assert.deepStrictEqual(core.sizes(), { peers: 102, tunnels: 1_000_001 })

    assert.deepStrictEqual(lines(core.updateNode(agent, node("a1"))), [
      `${client.id}: node ${agent.id} a1 (node update)`
    ])

    for (const peer of crowd) core.lose(peer, "lost")
    assert.deepStrictEqual(core.sizes(), { peers: 2, tunnels: 1 })
  })
})
