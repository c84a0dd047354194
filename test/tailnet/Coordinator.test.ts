/** The coordinator within one process. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import { coordinatorSuite } from "./coordinatorSuite.ts"
import { connect, connectTo, newPeerId, node } from "./support.ts"

layer(Coordinator.layerMemory({ maxRequestRate: 10_000 }))("the coordinator in memory", (it) =>
  coordinatorSuite(it, {
    init: "init",
    addTunnel: "add tunnel",
    firstNode: "node update",
    nodeUpdate: "node update",
    removeTunnel: "remove tunnel",
    disconnect: "graceful disconnect",
    lost: "lost",
    overflow: "failed update",
    found: "node update"
  })
)

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

  it.effect("ends the stream of a peer whose node is too large [TC-23]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make({ maxNodeBytes: 10 })
      const peer = yield* connectTo(coordinator, "peer")

      yield* peer.update("a".repeat(9))
      assert.deepStrictEqual(yield* peer.received, [])
      yield* peer.update("a".repeat(10))

      assert.deepStrictEqual(yield* peer.received, ["error: a node may have 10 bytes at most"])
      assert.isTrue(yield* peer.isOver)
    })
  )

  it.effect("ends the stream of a peer that opens too many tunnels [TC-24]", () =>
    Effect.gen(function* () {
      const coordinator = yield* Coordinator.make({ maxTunnels: 2 })
      const peer = yield* connectTo(coordinator, "peer")

      yield* Effect.forEach(Arr.range(1, 2), () => peer.addTunnel(newPeerId()))
      assert.isFalse(yield* peer.isOver)
      yield* peer.addTunnel(newPeerId())

      assert.deepStrictEqual(yield* peer.received, ["error: a peer may have 2 tunnels at most"])
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
