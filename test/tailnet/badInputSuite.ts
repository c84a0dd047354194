/** Requests that no stock peer makes: each coordinator takes or refuses them, counts them, and lets nobody else feel them. */
import { assert } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { AgentId } from "../../src/domain/Ids.ts"
import * as Authority from "../../src/tailnet/Authority.ts"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { bothReceive, type It, pair, type Rules } from "./coordinatorSuite.ts"
import { connect, counting, newPeerId, node, type TestPeer } from "./support.ts"

export const badInputSuite = (it: It, rules: Rules) => {
  it.effect("takes requests in any order, and those of a stream that is over for nothing [TC-44]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")

      yield* other.removeTunnel(agent)
      yield* other.send({ readyForHandshake: [agent.id] })
      yield* other.addTunnel(agent)
      assert.deepStrictEqual(yield* bothReceive(agent, other), [
        [],
        [
          `error: ready for handshake error: you do not share a tunnel with "${agent.id}"`,
          `node agent a1 (${rules.addTunnel})`
        ]
      ])
      yield* other.update("o1")
      yield* other.disconnect
      assert.deepStrictEqual(yield* agent.received, [
        `node other o1 (${rules.firstNode})`,
        `disconnected other (${rules.disconnect})`
      ])

      yield* other.update("o2")
      yield* other.send({ addTunnel: client.id, removeTunnel: agent.id, readyForHandshake: [agent.id] })
      yield* other.disconnect
      yield* other.refuse("malformed")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], []])
      assert.strictEqual(yield* other.next, "the end")
    })
  )

  it.effect("takes peers that nobody knows for peers that are not there [TC-45]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const [unknown, stranger] = [newPeerId(), newPeerId()]

      yield* client.addTunnel(unknown)
      yield* client.send({ readyForHandshake: [unknown, stranger] })
      yield* client.send({ removeTunnel: unknown })
      yield* client.send({ removeTunnel: stranger })
      yield* client.send({ readyForHandshake: [unknown] })

      const refused = (id: PeerId) => `error: ready for handshake error: you do not share a tunnel with "${id}"`
      assert.deepStrictEqual(yield* client.received, [refused(stranger), refused(unknown)])
      yield* agent.update("a2")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[], [`node agent a2 (${rules.nodeUpdate})`]])
    })
  )

  it.effect("takes a node of 64 KiB, and ends the stream of a peer whose node is larger [TC-23]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")
      yield* other.addTunnel(agent)
      yield* other.received

      yield* other.update("o".repeat(65_535))
      assert.strictEqual((yield* agent.received)[0]?.length, `node other  (${rules.firstNode})`.length + 65_535)
      const count = yield* counting(Metrics.refusals.node_too_large, other.update("o".repeat(65_536)))

      assert.strictEqual(count, 1)
      assert.deepStrictEqual(yield* other.received, ["error: a node may have 65536 bytes at most"])
      assert.strictEqual(yield* other.next, "the end")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[`lost other (${rules.lost})`], []])
      yield* agent.update("a2")
      assert.deepStrictEqual(yield* client.received, [`node agent a2 (${rules.nodeUpdate})`])
    })
  )

  it.effect("takes 10 000 tunnels of a peer, and ends the stream of one that opens more [TC-24]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")
      yield* other.send({ updateSelf: node("o1"), addTunnel: agent.id })
      yield* bothReceive(agent, other)

      yield* Effect.forEach(Arr.range(2, 10_000), () => other.addTunnel(newPeerId()), { discard: true })
      // one that is there already is none more
      yield* other.addTunnel(agent)
      assert.deepStrictEqual(yield* other.received, [])
      const count = yield* counting(Metrics.refusals.too_many_tunnels, other.addTunnel(newPeerId()))

      assert.strictEqual(count, 1)
      assert.deepStrictEqual(yield* other.received, ["error: a peer may have 10000 tunnels at most"])
      assert.strictEqual(yield* other.next, "the end")
      assert.deepStrictEqual(yield* bothReceive(agent, client), [[`lost other (${rules.lost})`], []])
      yield* agent.update("a2")
      assert.deepStrictEqual(yield* client.received, [`node agent a2 (${rules.nodeUpdate})`])
    })
  )

  it.effect("closes a peer that does not read its errors, however many one request causes [TC-52]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* pair
      const other = yield* connect("other")
      yield* other.send({ updateSelf: node("o1"), addTunnel: agent.id })
      yield* bothReceive(agent, other)

      const count = yield* counting(
        Metrics.streamsEnded.overflow,
        other.send({ readyForHandshake: Arr.makeBy(100_000, newPeerId) })
      )

      assert.strictEqual(count, 1)
      const unread = yield* other.received
      assert.lengthOf(unread, 513)
      assert.strictEqual(unread.at(-1), "error: peer does not read its updates fast enough")
      assert.isTrue(yield* other.isOver)
      assert.deepStrictEqual(yield* agent.received, [`disconnected other (${rules.overflow})`])
      assert.isFalse(yield* client.isOver)
    })
  )

  it.effect("counts the requests that it rejects, by the reason, and the streams that end with them [TC-46]", () =>
    Effect.gen(function* () {
      const refused = (authority: Authority.Authority, act: (peer: TestPeer) => Effect.Effect<void>) =>
        Effect.flatMap(connect("refused", { authority }), act)
      const foreign = Authority.agent(AgentId.make(newPeerId()))

      for (const [metric, act] of [
        [Metrics.refusals.authorization, refused(foreign, (peer) => peer.addTunnel(newPeerId()))],
        [
          Metrics.refusals.authorization,
          refused(foreign, ({ send }) => send({ updateSelf: node("r1", "", ["::1/128"]) }))
        ],
        [Metrics.refusals.malformed, refused(Authority.all, ({ refuse }) => refuse("malformed"))]
      ] as const) {
        const ended = yield* counting(
          Metrics.streamsEnded.refused,
          Effect.map(counting(metric, act), (count) => assert.strictEqual(count, 1))
        )
        assert.strictEqual(ended, 1)
      }
    })
  )
}
