/** The coordinator within one process. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Fiber, Metric, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Authority } from "../../src/tailnet/Authority.ts"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { badInputSuite } from "./badInputSuite.ts"
import { coordinatorSuite, type Rules } from "./coordinatorSuite.ts"
import { isolated } from "../support/isolated.ts"
import { connect, connectTo, newPeerId, node } from "./support.ts"

const rules: Rules = {
  init: "init",
  addTunnel: "add tunnel",
  firstNode: "node update",
  nodeUpdate: "node update",
  removeTunnel: "remove tunnel",
  disconnect: "graceful disconnect",
  lost: "lost",
  overflow: "failed update",
  found: "node update"
}

layer(Coordinator.layerMemory({ maxRequestRate: 100_000 }))("the coordinator in memory", (it) => {
  coordinatorSuite(it, rules)
  badInputSuite(it, rules)
})

describe("the coordinator in memory", () => {
  it.effect("forgets the tunnels of a peer that is lost [TC-20]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const agent = yield* connectTo(coordinator, "agent")
      const client = yield* connectTo(coordinator, "client")
      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
      yield* client.leave
      yield* agent.received

      const again = yield* connectTo(coordinator, "client", { id: client.id })
      yield* again.update("c1")

      assert.deepStrictEqual(yield* agent.received, [])
      assert.deepStrictEqual((yield* coordinator.peer(agent.id))?.partners, [])
    })
  )

  it.effect("shows how many peers and tunnels it has, and none once it has closed", () =>
    Effect.gen(function* () {
      const sizes = Effect.map(Effect.all([Metric.value(Metrics.peers), Metric.value(Metrics.tunnels)]), (gauges) =>
        gauges.map(({ value }) => value)
      )
      const scope = yield* Scope.make()
      const coordinator = yield* Scope.provide(Coordinator.make(), scope)
      const agent = yield* connectTo(coordinator, "agent")
      const client = yield* connectTo(coordinator, "client")
      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
      yield* agent.received
      assert.deepStrictEqual(yield* sizes, [2, 1])

      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* sizes, [0, 0])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("tells a node again that differs in its time alone [TC-21]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const agent = yield* connectTo(coordinator, "agent")
      const client = yield* connectTo(coordinator, "client")
      yield* client.addTunnel(agent)
      yield* agent.update("a1", "1")
      yield* client.received

      yield* agent.update("a1", "2")

      assert.deepStrictEqual(yield* client.received, ["node agent a1 (node update)"])
    })
  )

  it.effect("closes all streams at its end, and lets nobody in afterwards [TC-22]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const coordinator = yield* Scope.provide(Coordinator.make(), scope)
      const agent = yield* connectTo(coordinator, "agent")
      const client = yield* connectTo(coordinator, "client")
      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
      yield* agent.received

      yield* Scope.close(scope, Exit.void)

      assert.deepStrictEqual(yield* agent.received, ["lost client (coordinator close)", "error: coordinator closed"])
      assert.deepStrictEqual(yield* client.received, ["error: coordinator closed"])
      assert.isTrue(yield* client.isOver)
      const late = yield* connectTo(coordinator, "late")
      yield* late.update("l1")
      assert.deepStrictEqual([yield* late.next, yield* late.next], ["error: coordinator closed", "the end"])
    })
  )

  it.effect("takes the requests of a peer no faster than its rate, and those of others at once [TC-25]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make({ maxRequestRate: 10 })
      const agent = yield* connectTo(coordinator, "agent")
      const flood = yield* connectTo(coordinator, "flood")
      const client = yield* connectTo(coordinator, "client")
      yield* client.addTunnel(agent)
      yield* flood.addTunnel(agent)

      const flooding = yield* Effect.forkChild(
        Effect.forEach(Arr.range(1, 30), (number) => flood.update(`f${number}`), { discard: true }),
        { startImmediately: true }
      )
      assert.strictEqual((yield* agent.received).length, 9)
      yield* client.update("c1")
      assert.deepStrictEqual(yield* agent.received, ["node client c1 (node update)"])

      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* agent.received).length, 10)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(flooding)
      assert.strictEqual((yield* agent.received).length, 11)
    })
  )

  it.effect("takes 200 requests a second of a peer, and counts those that wait [TC-25]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const flood = yield* connectTo(coordinator, "flood")
      const taken = yield* Ref.make(0)
      const request = Effect.andThen(
        flood.removeTunnel(flood),
        Ref.update(taken, (count) => count + 1)
      )
      const { count: before } = yield* Metric.value(Metrics.throttled)
      yield* Effect.forkChild(
        Effect.forEach(Arr.range(1, 1_000), () => request),
        { startImmediately: true }
      )

      assert.strictEqual(yield* Ref.get(taken), 200)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Ref.get(taken), 400)
      assert.strictEqual((yield* Metric.value(Metrics.throttled)).count - before, 201)
      assert.isFalse(yield* flood.isOver)
    })
  )

  it.effect("counts the updates that it sends by their kind, and the streams that end by the reason [TC-46]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const coordinator = yield* Scope.provide(Coordinator.make(), scope)
      const counts = (metrics: Readonly<Record<string, Metric.Counter<number>>>) =>
        Effect.map(Effect.all(Object.values(metrics).map((metric) => Metric.value(metric))), (states) =>
          Object.fromEntries(
            Object.keys(metrics).flatMap((key, index) =>
              states[index]!.count === 0 ? [] : [[key, Number(states[index]!.count)]]
            )
          )
        )
      const agent = yield* connectTo(coordinator, "agent")
      const partner = Effect.gen(function* () {
        const client = yield* connectTo(coordinator, "client")
        yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
        yield* client.update("c2")
        return client
      })

      const client = yield* partner
      yield* agent.send({ readyForHandshake: [client.id] })
      yield* client.disconnect
      yield* Effect.flatMap(partner, ({ leave }) => leave)
      yield* connectTo(coordinator, "agent", { id: agent.id })
      yield* Scope.close(scope, Exit.void)

      assert.deepStrictEqual(yield* counts(Metrics.updates), {
        node: 4,
        disconnected: 1,
        lost: 1,
        readyForHandshake: 1
      })
      assert.deepStrictEqual(yield* counts(Metrics.streamsEnded), { disconnect: 1, lost: 1, overwritten: 1, closed: 1 })
    }).pipe(isolated)
  )

  it.effect("logs each request that it rejects, with the peer and the reason [TC-46]", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const client = yield* connectTo(coordinator, "a client")

      yield* client.refuse("the message is no CoordinateRequest")

      assert.deepStrictEqual(records, [
        {
          level: "Info",
          message: "a request of a peer was refused",
          annotations: {
            peerId: client.id,
            peer: "a client",
            reason: "malformed",
            detail: "the message is no CoordinateRequest"
          }
        }
      ])
    }).pipe(collectLogs(records))
  })

  it.effect("shows a peer with its partners", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      yield* TestClock.adjust("5 seconds")
      const agent = yield* connectTo(coordinator, "agent")
      const client = yield* connectTo(coordinator, "client")
      yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })

      assert.deepStrictEqual(yield* coordinator.peer(agent.id), {
        id: agent.id,
        name: "agent",
        connectedAt: 5_000,
        hasNode: false,
        partners: [client.id]
      })
      assert.isUndefined(yield* coordinator.peer(newPeerId()))
    })
  )

  it.effect("asks nobody for the rights of a peer whose stream is over", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const asked: Array<unknown> = []
      const authority: Authority = { authorize: (request) => Effect.sync(() => void asked.push(request)) }
      const peer = yield* connectTo(coordinator, "peer", { authority })
      yield* peer.disconnect

      yield* peer.addTunnel(newPeerId())

      assert.deepStrictEqual(asked, [{ disconnect: true }])
    })
  )

  it.effect("ends its streams when the scope of a peer ends, once", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make()
      const peer = yield* connect("peer").pipe(Effect.provideService(Coordinator.Coordinator, coordinator))

      yield* Effect.all([peer.leave, peer.leave])

      assert.isTrue(yield* peer.isOver)
      assert.isUndefined(yield* coordinator.peer(peer.id))
    })
  )
})
