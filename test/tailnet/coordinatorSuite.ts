/** The rules that every coordinator keeps, whichever way it keeps what it knows. */
import { assert, type layer } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import * as Authority from "../../src/tailnet/Authority.ts"
import type { Coordinator } from "../../src/tailnet/Coordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { connect, counting, newPeerId, node, type TestPeer } from "./support.ts"

/** The reasons that an implementation gives, and where implementations differ. */
export interface Rules {
  readonly init: string
  readonly addTunnel: string
  readonly firstNode: string
  readonly nodeUpdate: string
  readonly removeTunnel: string
  readonly disconnect: string
  readonly lost: string
  readonly overflow: string
  /** A peer that comes back after it was lost. */
  readonly found: string
}

export type It = Parameters<Parameters<ReturnType<typeof layer<Coordinator, unknown>>>[1] & {}>[0]

/** An agent with a node, and a client with one and a tunnel to it, that know each other. */
export const pair = Effect.gen(function* () {
  const agent = yield* connect("agent")
  const client = yield* connect("client")
  yield* agent.update("a1")
  yield* client.update("c1")
  yield* client.addTunnel(agent)
  yield* Effect.all([agent.received, client.received])
  return { agent, client }
})

export const bothReceive = Effect.fnUntraced(function* (one: TestPeer, other: TestPeer) {
  return [yield* one.received, yield* other.received]
})

export const coordinatorSuite = (it: It, rules: Rules) => {
  it.effect("tells both ends of a new tunnel the node of the other [TC-01]", () =>
    Effect.gen(function* () {
      const agent = yield* connect("agent")
      const client = yield* connect("client")
      yield* agent.update("a1")
      yield* client.update("c1")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], []])

      yield* client.addTunnel(agent)

      assert.deepStrictEqual(yield* bothReceive(agent, client), [
        [`node client c1 (${rules.addTunnel})`],
        [`node agent a1 (${rules.addTunnel})`]
      ])
    })
  )

  it.effect("tells the partners of a peer each new node, in both directions of a tunnel [TC-02]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* agent.update("a2")
      yield* client.update("c2")

      assert.deepStrictEqual(yield* bothReceive(agent, client), [
        [`node client c2 (${rules.nodeUpdate})`],
        [`node agent a2 (${rules.nodeUpdate})`]
      ])
    })
  )

  it.effect("tells nobody a node that they have [TC-03]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* agent.update("a1")
      yield* client.addTunnel(agent)

      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], []])
    })
  )

  it.effect("tells peers without a tunnel nothing of each other", () =>
    Effect.gen(function* () {
      const { agent } = yield* pair
      const other = yield* connect("other")
      yield* other.update("o1")

      yield* agent.update("a2")
      yield* agent.disconnect

      assert.deepStrictEqual(yield* other.received, [])
    })
  )

  it.effect("keeps a tunnel to a peer that is not there yet, and tells its source when it comes [TC-04]", () =>
    Effect.gen(function* () {
      const id = newPeerId()
      const client = yield* connect("client")
      yield* client.update("c1")
      yield* client.addTunnel(id)

      const agent = yield* connect("agent", { id })
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[`node client c1 (${rules.init})`], []])
      yield* agent.update("a1")

      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], [`node agent a1 (${rules.firstNode})`]])
    })
  )

  it.effect("tells a peer at its start all partners at once, 1 024 in a response [TC-05]", () =>
    Effect.gen(function* () {
      const id = newPeerId()
      yield* Effect.forEach(
        Arr.range(1, 1_030),
        (number) =>
          Effect.gen(function* () {
            const client = yield* connect(`client ${number}`)
            yield* client.send({ updateSelf: node(`c${number}`), addTunnel: id })
          }),
        { discard: true }
      )

      const agent = yield* connect("agent", { id })

      assert.deepStrictEqual(
        (yield* agent.responsesNow).map(({ updates }) => updates.length),
        [1_024, 6]
      )
    })
  )

  it.effect("tells both ends that they are disconnected when a tunnel is removed [TC-06]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* client.removeTunnel(agent)
      assert.deepStrictEqual(yield* bothReceive(agent, client), [
        [`disconnected client (${rules.removeTunnel})`],
        [`disconnected agent (${rules.removeTunnel})`]
      ])

      yield* agent.update("a2")
      yield* client.update("c2")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], []])
    })
  )

  it.effect("takes the removal of a tunnel that is not there, or of another peer, for nothing [TC-07]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")

      yield* agent.removeTunnel(client)
      yield* other.removeTunnel(agent)
      yield* client.removeTunnel(other)
      assert.deepStrictEqual([...(yield* bothReceive(agent, client)), yield* other.received], [[], [], []])

      yield* agent.update("a2")
      assert.deepStrictEqual(yield* client.received, [`node agent a2 (${rules.nodeUpdate})`])
    })
  )

  it.effect("tells partners that a peer is disconnected, and ends its stream [TC-08]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* client.disconnect

      assert.deepStrictEqual(yield* bothReceive(agent, client), [[`disconnected client (${rules.disconnect})`], []])
      assert.strictEqual(yield* client.next, "the end")
      assert.isFalse(yield* agent.isOver)

      yield* client.leave
      assert.deepStrictEqual(yield* agent.received, [])
    })
  )

  it.effect("forgets the tunnels of a peer that disconnects [TC-09]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      yield* client.disconnect
      yield* agent.received

      const again = yield* connect("client", { id: client.id })
      yield* again.update("c1")
      yield* agent.update("a2")

      assert.deepStrictEqual(yield* bothReceive(agent, again), [[], []])
    })
  )

  it.effect("tells partners that a peer is lost when its stream ends without a disconnect [TC-10]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* client.leave

      assert.deepStrictEqual(yield* agent.received, [`lost client (${rules.lost})`])
    })
  )

  it.effect("keeps the tunnels that lead to a lost peer [TC-11]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      yield* agent.leave
      assert.deepStrictEqual(yield* client.received, [`lost agent (${rules.lost})`])

      const again = yield* connect("agent", { id: agent.id })
      yield* again.update("a1")

      assert.deepStrictEqual(yield* bothReceive(again, client), [
        [`node client c1 (${rules.init})`],
        [`node agent a1 (${rules.found})`]
      ])
    })
  )

  it.effect("says nothing of the end of a peer whose node was never told [TC-12]", () =>
    Effect.gen(function* () {
      const agent = yield* connect("agent")
      const silent = yield* connect("silent")
      const leaver = yield* connect("leaver")
      yield* silent.addTunnel(agent)
      yield* leaver.addTunnel(agent)

      yield* silent.disconnect
      yield* leaver.leave

      assert.deepStrictEqual(yield* agent.received, [])
    })
  )

  it.effect("ends the older of two streams of one id, of which partners learn nothing [TC-13]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      const again = yield* connect("agent", { id: agent.id })

      assert.deepStrictEqual(yield* agent.received, ["error: peer ID overwritten by new connection"])
      assert.isTrue(yield* agent.isOver)
      assert.deepStrictEqual(yield* again.received, [`node client c1 (${rules.init})`])
      yield* agent.leave
      yield* agent.update("a0")
      assert.deepStrictEqual(yield* client.received, [])

      yield* again.update("a2")
      assert.deepStrictEqual(yield* client.received, [`node agent a2 (${rules.nodeUpdate})`])
    })
  )

  it.effect("passes on that a peer is ready for a handshake, in both directions of a tunnel [TC-14]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* agent.send({ readyForHandshake: [client.id] })
      yield* client.send({ readyForHandshake: [agent.id] })

      assert.deepStrictEqual(yield* bothReceive(agent, client), [
        ["readyForHandshake client"],
        ["readyForHandshake agent"]
      ])
    })
  )

  it.effect("rejects handshakes without a tunnel by an error text, and goes on [TC-15]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")

      yield* agent.send({ readyForHandshake: [other.id, client.id] })

      assert.deepStrictEqual(yield* agent.received, [
        `error: ready for handshake error: you do not share a tunnel with "${other.id}"`
      ])
      assert.deepStrictEqual(yield* client.received, ["readyForHandshake agent"])
      assert.deepStrictEqual(yield* other.received, [])
      assert.isFalse(yield* agent.isOver)
    })
  )

  it.effect("gives a request effect in one order: node, tunnels, disconnect, handshakes [TC-16]", () =>
    Effect.gen(function* () {
      const agent = yield* connect("agent")
      const client = yield* connect("client")
      yield* agent.update("a1")

      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id, removeTunnel: agent.id, disconnect: true })

      assert.deepStrictEqual(yield* agent.received, [
        `node client c1 (${rules.addTunnel})`,
        `disconnected client (${rules.removeTunnel})`
      ])
      assert.deepStrictEqual(yield* client.received, [
        `node agent a1 (${rules.addTunnel})`,
        `disconnected agent (${rules.removeTunnel})`
      ])
      assert.strictEqual(yield* client.next, "the end")
    })
  )

  it.effect("ends the stream of a peer that asks for what it may not, and loses it to its partners [TC-17]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const clientOfAgent = yield* connect("narrow", {
        authority: Authority.user((id) => Effect.succeed(id === agent.id))
      })
      yield* clientOfAgent.send({ updateSelf: node("n1"), addTunnel: agent.id })
      yield* bothReceive(agent, clientOfAgent)

      yield* clientOfAgent.send({ updateSelf: node("n2"), addTunnel: client.id })

      assert.deepStrictEqual(yield* clientOfAgent.received, [
        "error: authorization: workspace agent not found or you do not have permission"
      ])
      assert.isTrue(yield* clientOfAgent.isOver)
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[`lost narrow (${rules.lost})`], []])
    })
  )

  it.effect("ends the stream of a peer whose request is malformed, and loses it to its partners [TC-18]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair

      yield* client.refuse("unable to convert bytes to UUID: invalid UUID (got 15 bytes)")
      yield* client.refuse("unable to convert bytes to UUID: invalid UUID (got 15 bytes)")

      assert.deepStrictEqual(yield* client.received, [
        "error: unable to convert bytes to UUID: invalid UUID (got 15 bytes)"
      ])
      assert.isTrue(yield* client.isOver)
      assert.deepStrictEqual(yield* agent.received, [`lost client (${rules.lost})`])
    })
  )

  it.effect("closes a peer that does not read, and nobody else [TC-19]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")
      yield* other.send({ updateSelf: node("o1"), addTunnel: agent.id })
      yield* other.received
      yield* agent.received

      const flood = Effect.forEach(Arr.range(1, 513), (number) =>
        Effect.andThen(agent.update(`b${number}`), client.received)
      )
      assert.strictEqual(yield* counting(Metrics.streamsEnded.overflow, flood), 1)

      const unread = yield* other.received
      assert.strictEqual(unread.length, 513)
      assert.deepStrictEqual(unread.slice(-2), [
        `node agent b512 (${rules.nodeUpdate})`,
        "error: peer does not read its updates fast enough"
      ])
      assert.isTrue(yield* other.isOver)
      assert.deepStrictEqual(yield* agent.received, [`disconnected other (${rules.overflow})`])
      assert.isFalse(yield* client.isOver)
    })
  )

  it.effect("takes a tunnel of a peer to itself for nothing", () =>
    Effect.gen(function* () {
      const peer = yield* connect("peer")
      yield* peer.update("p1")

      yield* peer.addTunnel(peer)
      yield* peer.update("p2")

      assert.deepStrictEqual(yield* peer.received, [])
    })
  )
}
