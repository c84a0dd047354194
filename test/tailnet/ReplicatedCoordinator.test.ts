/** One replica under the clock of tests, over a store that returns and fails with what the test says. */
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Exit, Fiber, Metric, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ReplicaId } from "../../src/domain/Ids.ts"
import { Replica } from "../../src/domain/Replica.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import {
  type Change,
  CoordinatorStore,
  type OtherReplica,
  type PeerRow,
  type TunnelRow
} from "../../src/tailnet/CoordinatorStore.ts"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as ReplicatedCoordinator from "../../src/tailnet/ReplicatedCoordinator.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import * as Seed from "../support/seed.ts"
import { connectTo, newPeerId, node } from "./support.ts"

const [self, other] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]

const row = (id: PeerId, text: string, changedAt = 0): PeerRow => ({
  id,
  replicaId: other,
  isReplicaAlive: true,
  status: "ok",
  node: node(text).bytes,
  startedAt: 1,
  changedAt
})

/** The replies of the store, and the calls of it. */
interface Script {
  readonly calls: Array<string>
  readonly written: Array<ReadonlyArray<Change>>
  /** The operations that fail, and how. */
  failing: Partial<Record<"write" | "peers" | "tunnels" | "beat" | "loseAll" | "cleanUp", StoreError["reason"]>>
  others: ReadonlyArray<OtherReplica>
  rows: ReadonlyArray<PeerRow>
  tunnels: ReadonlyArray<TunnelRow>
  /** Peers whose changes the store rejects. */
  rejected: ReadonlyArray<PeerId>
}

interface Ports {
  readonly store?: Partial<CoordinatorStore["Service"]>
  readonly pubsub?: Partial<PubSub.PubSub["Service"]>
  readonly options?: ReplicatedCoordinator.Options
}

const makeReplica = Effect.fnUntraced(function* (ports: Ports) {
  const script: Script = { calls: [], written: [], failing: {}, others: [], rows: [], tunnels: [], rejected: [] }
  const operation = <A>(name: keyof Script["failing"], result: () => A) =>
    Effect.suspend((): Effect.Effect<A, StoreError> => {
      script.calls.push(name)
      const reason = script.failing[name]
      return reason === undefined
        ? Effect.sync(result)
        : Effect.fail(new StoreError({ operation: name, reason, cause: "as the test says" }))
    })
  const store: CoordinatorStore["Service"] = {
    write: (_, changes) =>
      Effect.suspend(() => {
        if (changes.some((change) => change._tag === "peer" && script.rejected.includes(change.id)))
          return Effect.fail(new StoreError({ operation: "write", reason: "rejected", cause: "bad" }))
        return operation("write", () => {
          script.written.push(changes)
          return changes.flatMap((change) => (change._tag === "peer" ? [change.id] : []))
        })
      }),
    peers: (ids) => operation("peers", () => script.rows.filter(({ id }) => ids.includes(id))),
    tunnels: () => operation("tunnels", () => script.tunnels),
    beat: () => operation("beat", () => script.others),
    loseAll: () => operation("loseAll", () => []),
    cleanUp: operation("cleanUp", () => undefined),
    ...ports.store
  }
  const pubsub = yield* PubSub.PubSub
  const scope = yield* Scope.make()
  const coordinator = yield* ReplicatedCoordinator.make(ports.options).pipe(
    Effect.provideService(Replica, self),
    Effect.provideService(CoordinatorStore, store),
    Effect.provideService(PubSub.PubSub, { ...pubsub, ...ports.pubsub }),
    Scope.provide(scope)
  )
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  const announcements = yield* Queue.unbounded<ReplicatedCoordinator.Announcement | string>()
  yield* pubsub.subscribe(ReplicatedCoordinator.channel).pipe(
    Stream.runForEach((event) =>
      Queue.offer(announcements, event._tag === "Message" ? ReplicatedCoordinator.decode(event.payload)! : "begins")
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Queue.take(announcements)
  return {
    script,
    close,
    connect: (name: string, id?: PeerId) => connectTo(coordinator, name, id === undefined ? {} : { id }),
    /** The announcements of this replica. */
    announced: Effect.andThen(TestClock.adjust("0 millis"), Queue.clear(announcements)),
    /** Announces as another replica does. */
    announce: (kind: ReplicatedCoordinator.Announcement["kind"], ids: ReadonlyArray<PeerId>, from = other) =>
      Effect.forEach(ReplicatedCoordinator.encode(kind, from, ids), (payload) =>
        pubsub.publish(ReplicatedCoordinator.channel, payload)
      ),
    publish: (payload: string) => pubsub.publish(ReplicatedCoordinator.channel, payload),
    /** How often an operation was called meanwhile. */
    callsOf: (name: keyof Script["failing"], meanwhile: Effect.Effect<unknown, unknown>) =>
      Effect.suspend(() => {
        script.calls.length = 0
        return Effect.map(meanwhile, () => script.calls.filter((call) => call === name).length)
      })
  }
})

const replica = (ports: Ports = {}) => Effect.provide(makeReplica(ports), PubSub.layerMemory)

/** A replica with a client that has a tunnel to an agent of another replica, and knows its node. */
const apart = Effect.fnUntraced(function* (ports: Ports = {}) {
  const one = yield* replica(ports)
  const agent = newPeerId()
  one.script.rows = [row(agent, "a1")]
  one.script.others = [{ id: other, ageMillis: 0 }]
  const client = yield* one.connect("client")
  yield* client.send({ updateSelf: node("c1"), addTunnel: agent })
  yield* TestClock.adjust("200 millis")
  assert.deepStrictEqual(yield* client.received, [`node ${agent} a1 (new)`])
  one.script.tunnels = [{ source: client.id, target: agent }]
  yield* one.announced
  return { ...one, agent, client }
})

const isolated = Effect.provideService(Metric.MetricRegistry, new Map())

/** Runs a test with the records that are no less than information. */
const logged = <A, E, R>(run: (records: Array<LogRecord>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const records: Array<LogRecord> = []
    return run(records).pipe(collectLogs(records))
  })

const levelsOf = (records: ReadonlyArray<LogRecord>) => records.map(({ level, message }) => `${level}: ${message}`)

describe("the heart of a replica", () => {
  it.effect("beats at its start and every 2 seconds", () =>
    Effect.gen(function* () {
      const { callsOf, script } = yield* replica()
      assert.deepStrictEqual(script.calls, ["beat"])

      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("1999 millis")), 0)
      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("1 millis")), 1)
      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("10 seconds")), 5)
    })
  )

  it.effect(
    "takes a replica for dead after 6 seconds of silence, and finds it again with its next heartbeat [TC-37]",
    () =>
      Effect.gen(function* () {
        const { agent, client, script } = yield* apart()
        const after = (ageMillis: number) => {
          script.others = [{ id: other, ageMillis }]
          return Effect.andThen(TestClock.adjust("2 seconds"), client.received)
        }

        assert.deepStrictEqual(yield* after(6_000), [])
        assert.deepStrictEqual(yield* after(6_001), [`lost ${agent} (lost)`])
        assert.deepStrictEqual(yield* after(6_001), [])
        assert.deepStrictEqual(yield* after(0), [`node ${agent} a1 (found)`])
        script.others = []
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* client.received, [`lost ${agent} (lost)`])
      })
  )

  it.effect("looks again 50 ms after the silence of another one would be too long, at most ten times a second", () =>
    Effect.gen(function* () {
      const { callsOf, script } = yield* replica()
      const nextAfter = Effect.fnUntraced(function* (...ages: ReadonlyArray<number>) {
        script.others = ages.map((ageMillis) => ({ id: Seed.newId(ReplicaId), ageMillis }))
        // up to the beat that reads these ages
        let beats = 0
        while (beats === 0) beats = yield* callsOf("beat", TestClock.adjust("10 millis"))
        let millis = 0
        for (beats = 0; beats === 0; millis += 10) beats = yield* callsOf("beat", TestClock.adjust("10 millis"))
        return millis
      })

      assert.strictEqual(yield* nextAfter(0), 2_000)
      assert.strictEqual(yield* nextAfter(0, 5_000, 4_500), 1_050)
      assert.strictEqual(yield* nextAfter(5_950), 100)
      assert.strictEqual(yield* nextAfter(5_900), 150)
      assert.strictEqual(yield* nextAfter(6_000), 100)
      assert.strictEqual(yield* nextAfter(6_001, 60_000), 2_000)
    })
  )

  it.effect("takes nobody for dead before it has listened for 6 seconds, if it could not read heartbeats itself", () =>
    Effect.gen(function* () {
      const { agent, client, script } = yield* apart()
      const missing = newPeerId()
      yield* client.addTunnel(missing)
      script.rows = [...script.rows, { ...row(missing, "m1"), replicaId: Seed.newId(ReplicaId) }]
      script.others = [
        { id: other, ageMillis: 0 },
        { id: script.rows[1]!.replicaId, ageMillis: 0 }
      ]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* client.received, [`node ${missing} m1 (new)`])

      script.failing = { beat: "unavailable" }
      yield* TestClock.adjust("8 seconds")
      script.others = [{ id: other, ageMillis: 60_000 }]
      script.failing = {}
      // it has listened again since 10 seconds
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* client.received, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        (yield* client.received).toSorted(),
        [`lost ${agent} (lost)`, `lost ${missing} (lost)`].sort()
      )
    })
  )

  it.effect("judges others after a failure that was shorter than 6 seconds, and finds those that beat at once", () =>
    Effect.gen(function* () {
      const { agent, client, script } = yield* apart()
      script.others = [{ id: other, ageMillis: 7_000 }]
      script.failing = { beat: "unavailable" }
      // beats at 2, 4 and 6 seconds
      yield* TestClock.adjust("5 seconds")
      script.failing = {}
      assert.deepStrictEqual(yield* client.received, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* client.received, [`lost ${agent} (lost)`])

      script.failing = { beat: "unavailable" }
      yield* TestClock.adjust("8 seconds")
      script.failing = {}
      script.others = [{ id: other, ageMillis: 0 }]
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* client.received, [`node ${agent} a1 (found)`])
    })
  )

  it.effect("warns of the first of several failures, counts each, and tries again after 2 seconds", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { callsOf, script } = yield* replica()
        script.others = [{ id: other, ageMillis: 5_950 }]
        yield* TestClock.adjust("2 seconds")
        script.failing = { beat: "unavailable" }

        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(levelsOf(records), ["Warn: the heartbeat of the tailnet failed"])
        assert.include(records[0]!.cause, "cannot beat")
        assert.strictEqual(yield* callsOf("beat", TestClock.adjust("4 seconds")), 2)
        assert.strictEqual(records.length, 1)
        assert.strictEqual((yield* Metric.value(Metrics.heartbeatFailures)).count, 3)

        script.failing = {}
        yield* TestClock.adjust("2 seconds")
        script.failing = { beat: "unavailable" }
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(records.length, 2)
      })
    ).pipe(isolated)
  )

  it.effect("cleans up every hour, also after it could not, of which it warns", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { callsOf, script } = yield* replica({ options: { heartbeatInterval: "1 day" } })
        script.failing = { cleanUp: "unavailable" }

        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("59 minutes")), 0)
        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("1 minute")), 1)
        assert.deepStrictEqual(levelsOf(records), ["Warn: the tailnet cannot be cleaned up now"])
        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("1 hour")), 1)
      })
    )
  )
})

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
      const { publish } = yield* PubSub.PubSub
      let isAway = true
      const { connect, script } = yield* replica({
        pubsub: {
          publish: (channel, payload) =>
            Effect.suspend(() =>
              isAway
                ? Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: "away" }))
                : publish(channel, payload)
            )
        }
      })
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

      script.rows = [row(agent, "a2", now - 250)]
      yield* announce("peers", [agent])
      yield* TestClock.adjust("50 millis")
      assert.deepInclude(yield* latency, { count: 1, sum: 0.3 })
      // of a replica whose clock is ahead
      script.rows = [row(agent, "a3", now + 60_000)]
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
        const { publish } = yield* PubSub.PubSub
        let isAway = false
        const { agent, announced, client } = yield* apart({
          pubsub: {
            publish: (channel, payload) =>
              Effect.suspend(() =>
                isAway
                  ? Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: "away" }))
                  : publish(channel, payload)
              )
          }
        })
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
    it.effect(`warns that peers are not lost at once, if that ${name}`, () =>
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
