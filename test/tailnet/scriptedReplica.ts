/** One replica under the clock of tests, over a store that returns and fails with what the test says. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
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
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { other, row, self } from "./coreSupport.ts"
import { connectTo, newPeerId, node } from "./support.ts"

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

export const replica = (ports: Ports = {}) => Effect.provide(makeReplica(ports), PubSub.layerMemory)

/** A replica with a client that has a tunnel to an agent of another replica, and knows its node. */
export const apart = Effect.fnUntraced(function* (ports: Ports = {}) {
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

/** A pubsub that fails to publish while it is away. */
export const failingWhile = (isAway: () => boolean) =>
  PubSub.PubSub.useSync(({ publish }) => ({
    publish: (channel: string, payload: string) =>
      Effect.suspend(() =>
        isAway()
          ? Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: "away" }))
          : publish(channel, payload)
      )
  }))

/** Runs a test with the records that are no less than information. */
export const logged = <A, E, R>(run: (records: Array<LogRecord>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const records: Array<LogRecord> = []
    return run(records).pipe(collectLogs(records))
  })

export const levelsOf = (records: ReadonlyArray<LogRecord>) =>
  records.map(({ level, message }) => `${level}: ${message}`)
