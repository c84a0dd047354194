/**
 * The coordinator of one replica among several, over a store and the pubsub.
 *
 * - Peers of one replica find each other without the store; their streams stay open while it is away.
 * - A replica without a heartbeat for 6 s is taken for dead: its peers are lost to their partners. Its next heartbeat
 *   finds them again.
 * - A replica that could not read the heartbeats itself takes nobody for dead before it has listened for 6 s.
 * - Changes are written in batches, the newest of each peer and tunnel, and then announced. A batch that failed is
 *   written and announced again, and no change is dropped, however many wait.
 * - Announcements name peers and carry no state: who gets one reads the store, also in batches. Changes that this replica
 *   has written since a reading began stand above what it returns.
 * - The end of the scope makes the peers of this replica lost.
 */
import {
  Array as Arr,
  Cause,
  Clock,
  type Context,
  Duration,
  Effect,
  Layer,
  Metric,
  Result,
  Schedule,
  type Scope,
  Stream
} from "effect"
import * as Accumulator from "../batcher/Accumulator.ts"
import * as Batcher from "../batcher/Batcher.ts"
import type { AgentId, ReplicaId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { Replica } from "../domain/Replica.ts"
import * as AgentIdChunks from "../metadata/AgentIdChunks.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import { PubSub } from "../pubsub/PubSub.ts"
import * as PubSubEvent from "../pubsub/PubSubEvent.ts"
import { Coordinator, type Options as CoordinatorOptions } from "./Coordinator.ts"
import { type Change, CoordinatorStore } from "./CoordinatorStore.ts"
import type { Outputs } from "./internal/core.ts"
import { type Handshake, ReplicatedCore } from "./internal/replicatedCore.ts"
import { keyOf, keyOfChange } from "./internal/outbox.ts"
import * as Streams from "./internal/streams.ts"
import type { PeerId } from "./Peer.ts"
import * as Metrics from "./TailnetMetrics.ts"

/** The channel on which replicas announce their writes. */
export const channel = "tailnet"

export interface Options extends CoordinatorOptions {
  /** Time between two heartbeats. Default 2 seconds. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /** How long a replica may be silent before it is taken for dead. Default 6 seconds. */
  readonly heartbeatTimeout?: Duration.Input | undefined
  /** Time from the end of a write, or of a reading, to the next one. Default 50 milliseconds. */
  readonly batchInterval?: Duration.Input | undefined
  /** The longest that closing may take. Default 15 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
}

type Stale = { readonly kind: "row" | "tunnels"; readonly id: PeerId }

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Coordinator["Service"], never, CoordinatorStore | PubSub | Replica | Scope.Scope> {
  const { batchInterval = "50 millis", shutdownTimeout = "15 seconds" } = options
  const store = yield* CoordinatorStore
  const pubsub = yield* PubSub
  const self = yield* Replica
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const core = new ReplicatedCore(self, () => clock.currentTimeMillisUnsafe())

  const announce = (kind: Announcement["kind"], ids: ReadonlyArray<PeerId>) =>
    Effect.forEach(encode(kind, self, ids), (payload) => pubsub.publish(channel, payload), { discard: true })

  // first, so that it comes last
  yield* Effect.addFinalizer(() =>
    store.loseAll(self).pipe(
      Effect.flatMap((ids) => announce("peers", ids)),
      Effect.timeout(shutdownTimeout),
      Effect.catchCause((cause) =>
        Effect.logWarning("the peers of this replica are not lost until it is taken for dead", cause)
      )
    )
  )

  const writes = yield* Batcher.make({
    accumulator: Accumulator.keyed({ key: keyOfChange, merge: (_, newer) => newer }),
    interval: batchInterval,
    ...bounds,
    shutdownTimeout,
    write: Effect.fnUntraced(function* (changes: ReadonlyArray<Change>) {
      const accepted = yield* store.write(self, changes)
      yield* announce(
        "peers",
        changes.flatMap((change) => (change._tag === "peer" ? [change.id] : []))
      )
      yield* announce("tunnels", [
        ...new Set(changes.flatMap((change) => (change._tag === "tunnel" ? [change.source, change.target] : [])))
      ])
      core.written(changes, accepted)
      yield* Metric.update(Metrics.rowsWritten, changes.length)
      queueChanges()
      queueStale()
    }),
    isRejection: (error: StoreError | PubSubEvent.PubSubError) =>
      error._tag === "StoreError" && error.reason === "rejected",
    observer: reportFailures("tailnet changes cannot be written, they are kept")
  })

  const handshakes = yield* makeHandshakes(batchInterval, (ids) => announce("handshakes", ids))

  const refreshes = yield* Batcher.make({
    accumulator: Accumulator.keyed({ key: ({ id, kind }: Stale) => `${kind} ${id}`, merge: (_, newer) => newer }),
    interval: batchInterval,
    ...bounds,
    shutdownTimeout: "1 millis",
    write: Effect.fnUntraced(
      function* (batch: ReadonlyArray<Stale>) {
        core.beginReading()
        const tunnels = idsOf(batch, "tunnels")
        if (tunnels.length > 0) {
          const found = yield* store.tunnels(tunnels)
          streams.deliverUnsafe(core.applyTunnels(tunnels, found))
        }
        const rows = idsOf(batch, "row")
        if (rows.length > 0) {
          const found = yield* store.peers(rows)
          const outputs = core.applyPeers(rows, found)
          streams.deliverUnsafe(outputs)
          recordLatency(core, outputs, clock, context)
        }
      },
      Effect.ensuring(Effect.sync(() => core.endReading()))
    ),
    observer: reportFailures("the peers of other replicas cannot be read")
  })

  // the rest waits in the core, where a newer change takes the place of an older one
  const queueChanges = () => writes.addUnsafe(core.takeChanges(roomOf(writes)))

  const queueStale = () => {
    const { rows, tunnels } = core.takeStale(roomOf(refreshes))
    refreshes.addUnsafe([
      ...tunnels.map((id): Stale => ({ kind: "tunnels", id })),
      ...rows.map((id): Stale => ({ kind: "row", id }))
    ])
  }

  /** Hands on the work that a transition of the core has left. */
  const onChange = () => {
    queueChanges()
    handshakes.addUnsafe(core.takeHandshakes())
    queueStale()
  }

  const streams: Streams.Streams = yield* Streams.make(core, options, onChange)

  yield* Effect.forkScoped(listen(pubsub, self, core, streams, onChange))
  const heart = makeHeart(options, store, self, core, streams, clock)
  yield* heart.beat
  yield* Effect.forkScoped(heart.run)
  yield* store.cleanUp.pipe(
    Effect.catchCause((cause) => Effect.logWarning("the tailnet cannot be cleaned up now", cause)),
    Effect.schedule(Schedule.spaced("1 hour")),
    Effect.forkScoped
  )
  return { connect: streams.connect, peer: streams.peer }
})

/** Records how old the updates of other replicas are when a peer of this one gets them. */
const recordLatency = (core: ReplicatedCore, outputs: Outputs, clock: Clock.Clock, context: Context.Context<never>) => {
  const now = clock.currentTimeMillisUnsafe()
  for (const output of outputs) {
    if ("end" in output) continue
    for (const { id, reason } of output.response.updates) {
      const at = reason === "update" ? core.remoteChangeOf(id) : undefined
      if (at !== undefined) Metrics.updateLatency.updateUnsafe(Math.max(0, now - at) / 1_000, context)
    }
  }
}

export const layer = (options?: Options): Layer.Layer<Coordinator, never, CoordinatorStore | PubSub | Replica> =>
  Layer.effect(Coordinator, make(options))

// ----- announcements -----

export interface Announcement {
  readonly kind: "peers" | "tunnels" | "handshakes"
  readonly from: ReplicaId
  readonly ids: ReadonlyArray<PeerId>
}

const kinds = { peers: "P", tunnels: "T", handshakes: "H" } as const

// with the kind and the sender, below the limit of a notification; even, because handshakes are pairs
const maxIds = AgentIdChunks.maxIdsPerChunk - 3

/** The payloads of announcements: a letter, then ids, of which the first one is the sender's. */
export const encode = (
  kind: Announcement["kind"],
  from: ReplicaId,
  ids: ReadonlyArray<PeerId>
): ReadonlyArray<string> => {
  const payloads: Array<string> = []
  for (let start = 0; start < ids.length; start += maxIds) {
    const named = [from, ...ids.slice(start, start + maxIds)] as ReadonlyArray<string> as ReadonlyArray<AgentId>
    payloads.push(`${kinds[kind]}${AgentIdChunks.encode(named)[0]!}`)
  }
  return payloads
}

/** The announcement in a payload; `undefined` if it is none. */
export const decode = (payload: string): Announcement | undefined => {
  const kind = (["peers", "tunnels", "handshakes"] as const).find((kind) => payload.startsWith(kinds[kind]))
  const ids = AgentIdChunks.decode(payload.slice(1))
  if (kind === undefined || Result.isFailure(ids) || ids.success.length === 0) return undefined
  const [from, ...named] = ids.success as ReadonlyArray<string>
  return { kind, from: from as ReplicaId, ids: named as ReadonlyArray<string> as ReadonlyArray<PeerId> }
}

/** Follows the announcements of other replicas, for ever. */
const listen = (
  pubsub: PubSub["Service"],
  self: ReplicaId,
  core: ReplicatedCore,
  streams: Streams.Streams,
  onChange: () => void
) => {
  const take = (payload: string) => {
    const announcement = decode(payload)
    if (announcement === undefined) return Effect.logWarning("an announcement of the tailnet is malformed")
    const { from, ids, kind } = announcement
    if (from === self) return Effect.void
    return Effect.sync(() => {
      if (kind === "peers") core.peersChanged(ids)
      else if (kind === "tunnels") core.tunnelsChanged(ids)
      else {
        for (const [from, to] of Arr.chunksOf(ids, 2)) streams.deliverUnsafe(core.handshake({ from, to: to! }))
      }
      onChange()
    })
  }
  const resync = Effect.sync(() => {
    core.resync()
    onChange()
  })
  return pubsub.subscribe(channel).pipe(
    Stream.runForEach(PubSubEvent.match({ Message: ({ payload }) => take(payload), Resync: () => resync })),
    Effect.andThen(Effect.fail("the subscription ended")),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.logWarning("announcements of the tailnet are missed, the subscription is made again", cause)
    ),
    Effect.repeat(Schedule.spaced("1 second"))
  )
}

// ----- heartbeats -----

/** The heartbeats of a replica, and its judgement of the others. */
const makeHeart = (
  options: Options,
  store: CoordinatorStore["Service"],
  self: ReplicaId,
  core: ReplicatedCore,
  streams: Streams.Streams,
  clock: Clock.Clock
) => {
  const interval = Duration.toMillis(Duration.fromInputUnsafe(options.heartbeatInterval ?? "2 seconds"))
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.heartbeatTimeout ?? "6 seconds"))
  const now = () => MonotonicClock.millisUnsafe(clock)
  let lastBeat: number | undefined
  let judgesFrom = 0
  let wait = interval
  let isFailing = false

  const judge = (others: ReadonlyArray<{ readonly id: ReplicaId; readonly ageMillis: number }>) => {
    const at = now()
    // nobody could beat while the store was away
    if (lastBeat !== undefined && at - lastBeat > timeout) judgesFrom = at + timeout
    lastBeat = at
    const alive = new Map<ReplicaId, boolean>()
    const missing = new Set(core.knownReplicas().keys())
    wait = interval
    for (const { ageMillis, id } of others) {
      missing.delete(id)
      const isAlive = ageMillis <= timeout
      if (isAlive || at >= judgesFrom) alive.set(id, isAlive)
      // looks again when the silence of another one is over, and not a whole interval later
      if (isAlive) wait = Math.min(wait, Math.max(100, timeout - ageMillis + 50))
    }
    if (at >= judgesFrom) for (const id of missing) alive.set(id, false)
    streams.deliverUnsafe(core.setAlive(alive))
  }

  const beat = store.beat(self).pipe(
    Effect.flatMap((others) =>
      Effect.sync(() => {
        isFailing = false
        judge(others)
      })
    ),
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      wait = interval
      const report = isFailing ? Effect.void : Effect.logWarning("the heartbeat of the tailnet failed", cause)
      isFailing = true
      return Effect.andThen(Metric.update(Metrics.heartbeatFailures, 1), report)
    })
  )
  return {
    beat,
    run: Effect.forever(
      Effect.andThen(
        Effect.suspend(() => Effect.sleep(wait)),
        beat
      )
    )
  }
}

// ----- batches -----

/** Beyond these bounds, changes and reads wait in the core, and nothing is dropped. */
const bounds = {
  maxBacklogBatchSize: 5_000,
  maxPending: 30_000,
  queueCapacity: 20_000,
  onWriteFailure: "retain"
} as const

/** How many updates a batcher takes without dropping any. */
const roomOf = ({
  queueCapacity,
  sizesUnsafe
}: Pick<Batcher.Batcher<unknown>, "queueCapacity" | "sizesUnsafe">): number => {
  const { inFlight, pending, queued } = sizesUnsafe()
  return Math.max(0, queueCapacity - queued - pending - inFlight)
}

const idsOf = (batch: ReadonlyArray<Stale>, kind: Stale["kind"]): ReadonlyArray<PeerId> =>
  batch.flatMap((stale) => (stale.kind === kind ? [stale.id] : []))

/** Announces handshakes, and drops those that cannot be announced: a client goes on without one after 5 seconds. */
const makeHandshakes = (
  interval: Duration.Input,
  announce: (ids: ReadonlyArray<PeerId>) => Effect.Effect<void, PubSubEvent.PubSubError>
) =>
  Batcher.make({
    accumulator: Accumulator.keyed({ key: ({ from, to }: Handshake) => keyOf(from, to), merge: (_, newer) => newer }),
    interval,
    maxPending: 10_000,
    queueCapacity: 10_000,
    shutdownTimeout: "1 second",
    write: (batch: ReadonlyArray<Handshake>) => announce(batch.flatMap(({ from, to }) => [from, to])),
    observer: reportFailures("handshakes cannot be announced, they are dropped")
  })

/** Logs the first of several failures in a row, and the first success after them. */
const reportFailures = (message: string) => {
  let isFailing = false
  return {
    onFailed: ({ cause }: { readonly cause: Cause.Cause<unknown> }) => {
      const report = isFailing ? Effect.void : Effect.logWarning(message, cause)
      isFailing = true
      return Effect.andThen(Metric.update(Metrics.batchFailures, 1), report)
    },
    onWritten: () =>
      Effect.suspend(() => {
        if (!isFailing) return Effect.void
        isFailing = false
        return Effect.logInfo("the tailnet has caught up")
      })
  }
}
