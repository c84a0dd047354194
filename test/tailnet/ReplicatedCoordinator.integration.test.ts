/** Coordinators of several replicas over one real database. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Latch, Layer, Metric, Queue, References, Scope } from "effect"
import { Statement } from "effect/sql"
import { ReplicaId } from "../../src/domain/Ids.ts"
import { Replica } from "../../src/domain/Replica.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import { PubSubError } from "../../src/pubsub/PubSubEvent.ts"
import * as PgCoordinatorStore from "../../src/storage/PgCoordinatorStore.ts"
import { type Change, CoordinatorStore } from "../../src/tailnet/CoordinatorStore.ts"
import * as ReplicatedCoordinator from "../../src/tailnet/ReplicatedCoordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { badInputSuite } from "./badInputSuite.ts"
import { coordinatorSuite, type Rules } from "./coordinatorSuite.ts"
import { connectTo, newPeerId, node, type TestPeer } from "./support.ts"

const heartbeatTimeout = "3 seconds"

const services = Layer.mergeAll(PgCoordinatorStore.layer({ heartbeatTimeout }), PgPubSub.layer()).pipe(
  Layer.provideMerge(Postgres.layer)
)

const newReplica = Layer.sync(Replica, () => Seed.newId(ReplicaId))

const rules: Rules = {
  init: "new",
  addTunnel: "new",
  firstNode: "new",
  nodeUpdate: "update",
  removeTunnel: "disconnected",
  disconnect: "disconnected",
  lost: "lost",
  overflow: "disconnected",
  found: "found"
}

layer(
  ReplicatedCoordinator.layer({ maxRequestRate: 100_000 }).pipe(Layer.provide(newReplica), Layer.provide(services)),
  { excludeTestServices: true }
)("the coordinator over Postgres", (it) => {
  coordinatorSuite(it, rules)
  badInputSuite(it, rules)
})

/** A replica that the test can end, over the ports as they are or as the test has them. */
const replicaOver = Effect.fnUntraced(function* (ports: {
  readonly store?: Partial<CoordinatorStore["Service"]>
  readonly pubsub?: Partial<PubSub["Service"]>
}) {
  const scope = yield* Scope.make()
  const id = Seed.newId(ReplicaId)
  const coordinator = yield* ReplicatedCoordinator.make({
    heartbeatInterval: "500 millis",
    heartbeatTimeout,
    maxRequestRate: 100_000
  }).pipe(
    Effect.provideService(Replica, id),
    Effect.provideService(CoordinatorStore, { ...(yield* CoordinatorStore), ...ports.store }),
    Effect.provideService(PubSub, { ...(yield* PubSub), ...ports.pubsub }),
    Scope.provide(scope)
  )
  const stop = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => stop)
  return { id, connect: (name: string, peer?: TestPeer) => connectTo(coordinator, name, peer && { id: peer.id }), stop }
})

/** Without the warnings that the test causes. */
const silent = Effect.provideService(References.MinimumLogLevel, "None")

const replica = replicaOver({})

/** An agent at one replica and a client at another one, that know each other. */
const apart = Effect.flatMap(replica, (one) => apartOver(one))

const apartOver = Effect.fnUntraced(function* (one: Effect.Success<typeof replica>) {
  const two = yield* replica
  const agent = yield* one.connect("agent")
  const client = yield* two.connect("client")
  yield* agent.update("a1")
  yield* client.send({ updateSelf: node("c1"), addTunnel: agent.id })
  assert.deepStrictEqual([yield* agent.next, yield* client.next], ["node client c1 (new)", "node agent a1 (new)"])
  return { one, two, agent, client }
})

layer(services, { excludeTestServices: true })("coordinators of several replicas", (it) => {
  it.effect("tell peers of different replicas each other's nodes, and each node once [TC-32]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* apart

      yield* agent.update("a2")
      assert.strictEqual(yield* client.next, "node agent a2 (update)")
      yield* agent.update("a2", "later")
      // the next node of the agent is written later than this one
      yield* client.update("c2")
      assert.strictEqual(yield* agent.next, "node client c2 (update)")
      yield* agent.update("a3")
      assert.strictEqual(yield* client.next, "node agent a3 (update)")
    })
  )

  it.effect("measure how late the update of a peer on another replica is", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* apart
      const { count } = yield* Metric.value(Metrics.updateLatency)

      yield* agent.update("a2")
      yield* client.next

      const { min } = yield* Effect.repeat(Metric.value(Metrics.updateLatency), { until: (now) => now.count > count })
      assert.isAtLeast(min, 0)
    })
  )

  it.effect("tell partners on another replica of a disconnect, and of a removed tunnel [TC-33]", () =>
    Effect.gen(function* () {
      const { agent, client, two } = yield* apart
      const other = yield* two.connect("other")
      yield* other.send({ updateSelf: node("o1"), addTunnel: agent.id })
      assert.deepStrictEqual([yield* agent.next, yield* other.next], ["node other o1 (new)", "node agent a1 (new)"])

      yield* client.disconnect
      assert.strictEqual(yield* agent.next, "disconnected client (disconnected)")
      yield* other.removeTunnel(agent)
      assert.strictEqual(yield* agent.next, "disconnected other (disconnected)")
      assert.strictEqual(yield* other.next, "disconnected agent (disconnected)")
      yield* Effect.andThen(other.send({ addTunnel: agent.id }), other.next)
      yield* agent.disconnect
      assert.strictEqual(yield* other.next, "disconnected agent (disconnected)")
    })
  )

  it.effect("tell partners on another replica of a lost peer, and of its return to any replica [TC-34]", () =>
    Effect.gen(function* () {
      const { agent, client, two } = yield* apart

      yield* agent.leave
      assert.strictEqual(yield* client.next, "lost agent (lost)")

      const third = yield* replica
      const again = yield* third.connect("agent", agent)
      yield* again.update("a2")
      assert.strictEqual(yield* client.next, "node agent a2 (found)")
      assert.strictEqual(yield* again.next, "node client c1 (new)")

      const here = yield* two.connect("agent", agent)
      yield* here.update("a3")
      assert.strictEqual(yield* client.next, "node agent a3 (update)")
      yield* again.leave
      yield* here.update("a4")
      assert.strictEqual(yield* client.next, "node agent a4 (update)")
    })
  )

  it.effect("pass on handshakes between replicas, and reject those without a tunnel [TC-35]", () =>
    Effect.gen(function* () {
      const { agent, client } = yield* apart

      yield* agent.send({ readyForHandshake: [client.id] })
      assert.strictEqual(yield* client.next, "readyForHandshake agent")
      yield* client.send({ readyForHandshake: [agent.id] })
      assert.strictEqual(yield* agent.next, "readyForHandshake client")

      const nobody = newPeerId()
      yield* agent.send({ readyForHandshake: [nobody] })
      assert.strictEqual(
        yield* agent.next,
        `error: ready for handshake error: you do not share a tunnel with "${nobody}"`
      )
    })
  )

  it.effect("lose the peers of a replica that ends, at once [TC-36]", () =>
    Effect.gen(function* () {
      const { agent, client, one } = yield* apart

      yield* one.stop

      assert.deepStrictEqual([yield* agent.next, yield* agent.next], ["error: coordinator closed", "the end"])
      assert.strictEqual(yield* client.next, "lost agent (lost)")
    })
  )

  it.effect("lose the peers of a replica whose heartbeats have stopped, and find them when they go on [TC-37]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* CoordinatorStore
      const { client } = yield* apart
      const dead = Seed.newId(ReplicaId)
      const id = newPeerId()
      yield* store.beat(dead)
      yield* store.write(dead, [{ _tag: "peer", id, status: "ok", node: node("d1").bytes, startedAt: 1, changedAt: 1 }])
      yield* client.addTunnel(id)
      assert.strictEqual(yield* client.next, `node ${id} d1 (new)`)

      assert.strictEqual(yield* client.next, `lost ${id} (lost)`)
      const silence = yield* sql`
        SELECT clock_timestamp() - heartbeat_at > '3 s' AS "isLong" FROM tailnet_coordinators WHERE id = ${dead}`
      assert.deepStrictEqual(silence, [{ isLong: true }])

      yield* store.beat(dead)
      assert.strictEqual(yield* client.next, `node ${id} d1 (found)`)
    })
  )

  it.effect("let a stale stream of a peer change nothing that its newer one has said [TC-38]", () =>
    Effect.gen(function* () {
      const { agent, client, two } = yield* apart
      const newer = yield* two.connect("agent", agent)
      yield* newer.update("n1")
      assert.strictEqual(yield* client.next, "node agent n1 (update)")

      yield* agent.update("a9")
      yield* agent.leave
      yield* newer.update("n2")

      assert.strictEqual(yield* client.next, "node agent n2 (update)")
    })
  )

  it.effect("write each batch in one statement, the newest change of each peer [TC-39]", () => {
    const statements: Array<string> = []
    const note: Statement.Transformer = (statement) =>
      Effect.sync(() => {
        const [text, parameters] = statement.compile()
        if (/\b(?:INSERT INTO|UPDATE|DELETE FROM) tailnet_(?:peers|tunnels)\b/.test(text)) {
          statements.push(JSON.stringify(parameters))
        }
        return statement
      })
    return Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { agent, client } = yield* apart
      statements.length = 0

      yield* Effect.forEach(Arr.range(1, 100), (number) => agent.update(`b${number}`), { discard: true })
      const seen: Array<string> = []
      while (seen.at(-1) !== "node agent b100 (update)") seen.push(yield* client.next)

      assert.isBelow(seen.length, 10)
      assert.isBelow(statements.length, 10)
      // none writes the peer twice
      assert.deepStrictEqual(
        statements.filter((parameters) => parameters.split(agent.id).length > 2),
        []
      )
      const rows = yield* sql<{ node: Uint8Array }>`SELECT node FROM tailnet_peers WHERE id = ${agent.id}`
      assert.deepStrictEqual(
        rows.map(({ node }) => Buffer.from(node).toString()),
        ["b100@"]
      )

      statements.length = 0
      const store = yield* CoordinatorStore
      const peers = Array.from({ length: 100 }, newPeerId)
      const changes: ReadonlyArray<Change> = peers.flatMap((id, index) => [
        { _tag: "peer", id, status: index < 50 ? "ok" : "gone", node: node("x").bytes, startedAt: 1, changedAt: 1 },
        { _tag: "tunnel", source: id, target: agent.id, isOpen: index % 2 === 0 }
      ])
      assert.lengthOf(yield* store.write(Seed.newId(ReplicaId), changes), 50)
      assert.lengthOf(statements, 1)
    }).pipe(Effect.provideService(Statement.CurrentTransformer, note))
  })

  it.effect("write every change that came while a write took long, however many there were [TC-49]", () =>
    Effect.gen(function* () {
      const store = yield* CoordinatorStore
      const latch = yield* Latch.make(true)
      const writing = yield* Queue.unbounded<void>()
      const tunnels = new Set<Change>()
      // so many tunnels would take the database too long for a test
      const write: typeof store.write = Effect.fnUntraced(function* (replicaId, changes) {
        yield* Queue.offer(writing, undefined)
        yield* latch.await
        if (changes.length < 100) return yield* store.write(replicaId, changes)
        for (const change of changes) if (change._tag === "tunnel") tunnels.add(change)
        return yield* store.write(
          replicaId,
          changes.filter(({ _tag }) => _tag === "peer")
        )
      })
      const one = yield* replicaOver({ store: { write } })
      const { agent, client } = yield* apartOver(one)
      const crowd = yield* Effect.forEach(Arr.range(1, 5), (number) => one.connect(`one of many ${number}`))
      yield* latch.close
      yield* Queue.clear(writing)
      yield* agent.update("a2")
      yield* Queue.take(writing)

      yield* Effect.forEach(
        crowd,
        (peer) => Effect.forEach(Arr.range(1, 10_000), () => peer.addTunnel(newPeerId()), { discard: true }),
        { discard: true }
      )
      yield* agent.update("a3")
      yield* latch.open

      const [first, last] = [yield* client.next, "node agent a3 (update)"]
      if (first !== last) assert.deepStrictEqual([first, yield* client.next], ["node agent a2 (update)", last])
      yield* Effect.repeat(Queue.take(writing), { until: () => tunnels.size >= 49_000 })
    })
  )

  it.effect("leave streams open while the store fails, and peers of one replica to each other [TC-50]", () =>
    Effect.gen(function* () {
      const store = yield* CoordinatorStore
      let isAway = false
      const error = new StoreError({ operation: "any", reason: "unavailable", cause: "away" })
      const unlessAway = <A>(self: Effect.Effect<A, StoreError>) => Effect.suspend(() => (isAway ? error : self))
      const one = yield* replicaOver({
        store: {
          write: (replicaId, changes) => unlessAway(store.write(replicaId, changes)),
          peers: (ids) => unlessAway(store.peers(ids)),
          tunnels: (ids) => unlessAway(store.tunnels(ids)),
          beat: (replicaId) => unlessAway(store.beat(replicaId))
        }
      })
      const { agent, client } = yield* apartOver(one)
      const near = yield* one.connect("near")
      yield* near.send({ updateSelf: node("n1"), addTunnel: agent.id })
      assert.deepStrictEqual([yield* agent.next, yield* near.next], ["node near n1 (new)", "node agent a1 (new)"])
      const { count } = yield* Metric.value(Metrics.heartbeatFailures)

      isAway = true
      yield* Effect.repeat(Metric.value(Metrics.heartbeatFailures), { until: (now) => now.count >= count + 4 })
      yield* agent.update("a2")
      assert.strictEqual(yield* near.next, "node agent a2 (update)")
      yield* near.update("n2")
      assert.strictEqual(yield* agent.next, "node near n2 (update)")
      // to those of other replicas this one is dead
      assert.strictEqual(yield* client.next, "lost agent (lost)")
      isAway = false

      // its heartbeat may be there before what it could not write
      const found = yield* client.next
      if (found === "node agent a1 (found)") assert.strictEqual(yield* client.next, "node agent a2 (update)")
      else assert.strictEqual(found, "node agent a2 (found)")
      yield* client.update("c2")
      assert.strictEqual(yield* agent.next, "node client c2 (update)")
    }).pipe(silent)
  )

  it.effect("announce again what they could not announce [TC-51]", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub
      let failures = 0
      const failsThrice = (channel: string, payload: string) =>
        Effect.suspend(() =>
          ++failures <= 3
            ? new PubSubError({ operation: "publish", channel, cause: "away" })
            : pubsub.publish(channel, payload)
        )
      const one = yield* replicaOver({ pubsub: { publish: failsThrice } })

      const { agent, client } = yield* apartOver(one)
      yield* agent.update("a2")

      assert.strictEqual(yield* client.next, "node agent a2 (update)")
      assert.isAbove(failures, 3)
    }).pipe(silent)
  )

  it.effect("clean up what nobody has touched for a day [TC-40]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* CoordinatorStore
      const old = Seed.newId(ReplicaId)
      const [ok, lost] = [newPeerId(), newPeerId()]
      yield* store.beat(old)
      yield* store.write(old, [
        { _tag: "peer", id: ok, status: "ok", node: node("x").bytes, startedAt: 1, changedAt: 1 },
        { _tag: "peer", id: lost, status: "lost", node: node("x").bytes, startedAt: 1, changedAt: 1 },
        { _tag: "tunnel", source: ok, target: lost, isOpen: true }
      ])
      const left = Effect.map(
        sql<{ count: number }>`
          SELECT (SELECT count(*) FROM tailnet_peers WHERE id IN ${sql.in([ok, lost])})::int
            + (SELECT count(*) FROM tailnet_tunnels WHERE src_id = ${ok})::int
            + (SELECT count(*) FROM tailnet_coordinators WHERE id = ${old})::int AS count`,
        ([row]) => row!.count
      )
      yield* store.cleanUp
      assert.strictEqual(yield* left, 4)

      yield* sql`UPDATE tailnet_peers SET updated_at = now() - interval '25 hours' WHERE id IN ${sql.in([ok, lost])}`
      yield* sql`UPDATE tailnet_tunnels SET updated_at = now() - interval '25 hours' WHERE src_id = ${ok}`
      yield* store.cleanUp
      assert.strictEqual(yield* left, 3)

      yield* sql`UPDATE tailnet_coordinators SET heartbeat_at = now() - interval '25 hours' WHERE id = ${old}`
      yield* store.cleanUp
      assert.strictEqual(yield* left, 0)
    })
  )
})
