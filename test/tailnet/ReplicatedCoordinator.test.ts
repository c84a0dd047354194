/** The changes, the news and the end of a replica. */
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Fiber, Metric, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import type { TunnelRow } from "../../src/tailnet/CoordinatorStore.ts"
import * as ReplicatedCoordinator from "../../src/tailnet/ReplicatedCoordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { newPeerId, node } from "./support.ts"

import { row, self } from "./coreSupport.ts"
import { isolated } from "../support/isolated.ts"
import { apart, failingWhile, levelsOf, logged, replica } from "./scriptedReplica.ts"

describe("the changes of a replica", () => {
  it.effect("are written 50 ms apart, and then announced: peers, and both ends of tunnels once [TC-39]", () =>
    Effect.gen(function* () {
      const { announced, connect, script } = yield* replica()
      const [agent, client] = [yield* connect("agent"), yield* connect("client")]
      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
      yield* client.addTunnel(newPeerId())

      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual([script.written.length, yield* announced], [0, []])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(script.written.length, 1)
      const ends = script.written[0]!.flatMap((change) =>
        change._tag === "tunnel" ? [change.source, change.target] : []
      )
      assert.deepStrictEqual(yield* announced, [
        { kind: "peers", from: self, ids: [client.id] },
        { kind: "tunnels", from: self, ids: [...new Set(ends)] }
      ])
      assert.lengthOf(new Set(ends), 3)

      yield* agent.update("a1")
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(yield* announced, [{ kind: "peers", from: self, ids: [agent.id] }])
    })
  )

  it.effect("stand above a reading that began before they were written [TC-55]", () =>
    Effect.gen(function* () {
      const late = yield* Deferred.make<ReadonlyArray<TunnelRow>>()
      const agent = newPeerId()
      let readings = 0
      const { connect, script } = yield* replica({
        store: {
          tunnels: ([source]) =>
            readings++ === 0 ? Deferred.await(late) : Effect.succeed([{ source: source!, target: agent }])
        }
      })
      script.rows = [row(agent, "a1")]
      const client = yield* connect("client")
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(readings, 1)

      yield* client.send({ updateSelf: node("c1"), addTunnel: agent })
      yield* TestClock.adjust("100 millis")
      assert.lengthOf(script.written, 1)
      yield* Deferred.succeed(late, [])
      yield* TestClock.adjust("200 millis")

      assert.strictEqual(readings, 2)
      assert.deepStrictEqual(yield* client.received, [`node ${agent} a1 (new)`])
    })
  )

  it.effect("are kept while the store is away, which is warned of once, as is that it is back [TC-50]", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { announced, connect, script } = yield* replica()
        const agent = yield* connect("agent")
        script.failing = { write: "unavailable" }
        yield* agent.update("a1")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(levelsOf(records), ["Warn: tailnet changes cannot be written, they are kept"])
        assert.include(records[0]!.cause, "cannot write")
        const { count } = yield* Metric.value(Metrics.batchFailures)
        assert.isAbove(count, 1)
        assert.deepStrictEqual(yield* announced, [])

        script.failing = {}
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(levelsOf(records).slice(1), ["Info: the tailnet has caught up"])
        assert.deepStrictEqual(yield* announced, [{ kind: "peers", from: self, ids: [agent.id] }])
        assert.strictEqual((yield* Metric.value(Metrics.rowsWritten)).count, 1)

        yield* agent.update("a2")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(records.length, 2)
        script.failing = { write: "unavailable" }
        yield* agent.update("a3")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(records.length, 3)
        // its end need not wait for the store
        script.failing = {}
      })
    ).pipe(isolated)
  )

  it.effect("are written without those that the store rejects, which are tried no more", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { announced, connect, script } = yield* replica()
        const [bad, good] = [yield* connect("bad"), yield* connect("good")]
        script.rejected = [bad.id]
        yield* bad.update("b1")
        yield* good.update("g1")

        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(
          script.written.flat().map((change) => change._tag === "peer" && change.id),
          [good.id]
        )
        assert.deepStrictEqual(yield* announced, [{ kind: "peers", from: self, ids: [good.id] }])
        const { length } = records
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(records.length, length)
      })
    )
  )

  it.effect("are announced again when no announcement was possible, and nothing is read meanwhile [TC-51]", () =>
    Effect.gen(function* () {
      let isAway = true
      const { connect, script } = yield* replica({ pubsub: yield* failingWhile(() => isAway) })
      const agent = yield* connect("agent")
      yield* agent.update("a1")
      yield* TestClock.adjust("1 second")
      const attempts = script.written.length
      assert.isAbove(attempts, 1)

      isAway = false
      yield* TestClock.adjust("10 seconds")
      const { length } = script.written
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(script.written.length, length)
    }).pipe(Effect.provide(PubSub.layerMemory))
  )
})

describe("the news of other replicas", () => {
  it.effect("are read 50 ms after they were announced, the rows of peers and the tunnels [TC-32]", () =>
    Effect.gen(function* () {
      const { agent, announce, callsOf, client, script } = yield* apart()
      const far = newPeerId()

      script.rows = [row(agent, "a2"), row(far, "f1")]
      yield* announce("peers", [agent])
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(yield* client.received, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* client.received, [`node ${agent} a2 (update)`])

      script.tunnels = [...script.tunnels, { source: far, target: client.id }]
      yield* announce("tunnels", [client.id])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* client.received, [`node ${far} f1 (new)`])

      // its own ones it knows
      const own = Effect.all([announce("peers", [agent], self), announce("tunnels", [client.id], self)])
      assert.strictEqual(yield* callsOf("peers", Effect.andThen(own, TestClock.adjust("1 second"))), 0)
      assert.notInclude(script.calls, "tunnels")
    })
  )

  it.effect("are handshakes, which are passed on at once, and sent in pairs [TC-35]", () =>
    Effect.gen(function* () {
      const { agent, announce, announced, client } = yield* apart()

      yield* announce("handshakes", [agent, client.id, agent])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* client.received, [`readyForHandshake ${agent}`])
      yield* announced

      yield* client.send({ readyForHandshake: [agent] })
      yield* client.send({ readyForHandshake: [agent] })
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(yield* announced, [{ kind: "handshakes", from: self, ids: [client.id, agent] }])
    })
  )

  it.effect("are warned of when they are malformed, and followed further", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { agent, announce, client, publish, script } = yield* apart()

        yield* publish("Pxyz")
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(levelsOf(records), ["Warn: an announcement of the tailnet is malformed"])
        script.rows = [row(agent, "a2")]
        yield* announce("peers", [agent])
        yield* TestClock.adjust("50 millis")
        assert.deepStrictEqual(yield* client.received, [`node ${agent} a2 (update)`])
      })
    )
  )

  it.effect("are read again when their subscription ends, a second later and with a warning", () =>
    logged((records) =>
      Effect.gen(function* () {
        const ends = yield* Queue.unbounded<Deferred.Deferred<void>>()
        const { agent, callsOf, client, script } = yield* apart({
          pubsub: {
            subscribe: () =>
              Stream.unwrap(
                Effect.gen(function* () {
                  const end = yield* Deferred.make<void>()
                  yield* Queue.offer(ends, end)
                  return Stream.concat(
                    Stream.make(PubSub.Resync()),
                    Stream.drain(Stream.fromEffect(Deferred.await(end)))
                  )
                })
              )
          }
        })
        script.rows = [row(agent, "a2")]
        yield* Deferred.succeed(yield* Queue.take(ends), undefined)
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(levelsOf(records), [
          "Warn: announcements of the tailnet are missed, the subscription is made again"
        ])
        assert.include(records[0]!.cause, "the subscription ended")
        assert.deepStrictEqual(yield* client.received, [])

        assert.strictEqual(yield* callsOf("tunnels", TestClock.adjust("100 millis")), 1)
        assert.deepStrictEqual(yield* client.received, [`node ${agent} a2 (update)`])
        assert.strictEqual(yield* Queue.size(ends), 1)
      })
    )
  )

  it.effect("are read again while the store is away, which is warned of once [TC-50]", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { agent, announce, client, script } = yield* apart()
        script.failing = { peers: "unavailable" }
        script.rows = [row(agent, "a2")]

        yield* announce("peers", [agent])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(levelsOf(records), ["Warn: the peers of other replicas cannot be read"])
        script.failing = {}
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* client.received, [`node ${agent} a2 (update)`])
        assert.deepStrictEqual(levelsOf(records).slice(1), ["Info: the tailnet has caught up"])
      })
    )
  )

  it.effect("are measured from the change of a node to its update, and no other updates are", () =>
    Effect.gen(function* () {
      const { agent, announce, client, script } = yield* apart()
      const latency = Metric.value(Metrics.updateLatency)
      assert.strictEqual((yield* latency).count, 0)
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)

      script.rows = [row(agent, "a2", { changedAt: now - 250 })]
      yield* announce("peers", [agent])
      yield* TestClock.adjust("50 millis")
      assert.deepInclude(yield* latency, { count: 1, sum: 0.3 })
      // of a replica whose clock is ahead
      script.rows = [row(agent, "a3", { changedAt: now + 60_000 })]
      yield* announce("peers", [agent])
      yield* TestClock.adjust("50 millis")
      assert.deepInclude(yield* latency, { count: 2, sum: 0.3 })
      script.rows = []
      yield* announce("peers", [agent])
      yield* TestClock.adjust("50 millis")
      assert.strictEqual((yield* latency).count, 2)
      assert.lengthOf(yield* client.received, 3)
    }).pipe(isolated)
  )
})

describe("handshakes", () => {
  it.effect("that cannot be announced are dropped with a warning, and later ones are announced", () =>
    logged((records) =>
      Effect.gen(function* () {
        let isAway = false
        const { agent, announced, client } = yield* apart({ pubsub: yield* failingWhile(() => isAway) })
        isAway = true
        yield* client.send({ readyForHandshake: [agent] })
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(levelsOf(records), ["Warn: handshakes cannot be announced, they are dropped"])
        isAway = false
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* announced, [])
        yield* client.send({ readyForHandshake: [agent] })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(levelsOf(records)[1], "Info: the tailnet has caught up")
      }).pipe(Effect.provide(PubSub.layerMemory))
    )
  )
})

describe("the end of a replica", () => {
  it.effect("writes what waits, then makes its peers lost and announces them [TC-36]", () =>
    Effect.gen(function* () {
      const lost = newPeerId()
      const { announced, close, connect, script } = yield* replica({ store: { loseAll: () => Effect.succeed([lost]) } })
      const agent = yield* connect("agent")
      yield* agent.update("a1")

      yield* close
      assert.deepStrictEqual(
        script.written.flat().map((change) => change._tag === "peer" && change.status),
        ["lost"]
      )
      assert.deepStrictEqual(yield* announced, [
        { kind: "peers", from: self, ids: [agent.id] },
        { kind: "peers", from: self, ids: [lost] }
      ])
      assert.deepStrictEqual(yield* agent.received, ["error: coordinator closed"])
    })
  )

  for (const [name, loseAll, after] of [
    ["fails", Effect.fail(new StoreError({ reason: "unavailable", cause: "away" })), "1 millis"],
    ["takes longer than 15 seconds", Effect.never, "15 seconds"]
  ] as const) {
    it.effect(`that ${name} is a warning, because its peers are not lost at once`, () =>
      logged((records) =>
        Effect.gen(function* () {
          const { close } = yield* replica({ store: { loseAll: () => loseAll } })

          const closing = yield* Effect.forkChild(close, { startImmediately: true })
          yield* TestClock.adjust(after)
          yield* Fiber.join(closing)
          assert.deepStrictEqual(levelsOf(records), [
            "Warn: the peers of this replica are not lost until it is taken for dead"
          ])
        })
      )
    )
  }
})

describe("announcements", () => {
  it("come back as they were made, in payloads below the limit of a notification", () => {
    const ids = Arr.makeBy(721, newPeerId)
    for (const kind of ["peers", "tunnels", "handshakes"] as const) {
      const payloads = ReplicatedCoordinator.encode(kind, self, ids)
      const announcements = payloads.map((payload) => ReplicatedCoordinator.decode(payload)!)

      assert.deepStrictEqual(
        announcements.map((announcement) => announcement.ids.length),
        [360, 360, 1]
      )
      assert.deepStrictEqual(
        announcements.flatMap((announcement) => announcement.ids),
        ids
      )
      assert.isTrue(announcements.every((announcement) => announcement.kind === kind && announcement.from === self))
      assert.isTrue(payloads.every((payload) => payload.length < 8_000))
    }
    assert.deepStrictEqual(ReplicatedCoordinator.encode("peers", self, []), [])
    assert.lengthOf(ReplicatedCoordinator.encode("peers", self, ids.slice(0, 360)), 1)
  })

  it("are none of an unknown kind, with malformed ids, or without a sender", () => {
    const [payload] = ReplicatedCoordinator.encode("peers", self, [newPeerId()])

    for (const text of ["", "P", `X${payload!.slice(1)}`, payload!.slice(0, -1), `P${"!".repeat(22)}`]) {
      assert.isUndefined(ReplicatedCoordinator.decode(text), text)
    }
  })
})
