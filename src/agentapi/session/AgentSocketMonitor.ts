/**
 * Records when an agent is connected, and ends a connection that is dead or no longer wanted: an actor of each
 * WebSocket.
 *
 * - A connection is recorded and announced before anything is served. If that fails, the agent is not served.
 * - The agent is pinged once per interval. The connection ends after a whole timeout of silence, in monotonic time.
 * - A heartbeat is recorded once per interval, and announced if the agent was recorded as disconnected. A heartbeat
 *   that fails is a warning. A heartbeat that finds a newer build of the workspace ends the connection.
 * - The end of a connection is recorded and announced, each within the timeout, unless the agent has another
 *   connection. A new connection of an agent fences its older one: see {@link ReceiptTime}.
 * - Heartbeats of a process are coalesced: the heartbeats within a fifteenth of the interval, at most a second, are one
 *   write, in order. The first and the last heartbeat of a connection do not wait for that window.
 * - A coalesced write skips locked rows. Each skipped agent gets a write of its own, at most two of which run at a
 *   time; periodic heartbeats beyond them are skipped with a warning.
 * - A connection in another role is pinged and ended in the same way, but nothing is recorded for it.
 */
import { Clock, DateTime, Duration, Effect, Fiber, Option, Predicate, Ref, type Scope, Semaphore } from "effect"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { PubSubError } from "../../pubsub/PubSub.ts"
import { AgentSession } from "./AgentSession.ts"
import { Replica } from "../../domain/Replica.ts"
import * as SessionEvents from "./SessionEvents.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import { type AgentSocketRecord, AgentSocketStore } from "../ports/AgentSocketStore.ts"

/** The most agents in one write. */
const maxRecords = 1_000

/** The most writes that wait for a locked row at the same time: each may hold a connection of the store. */
const maxLockedWrites = 2

export interface Options {
  /** The time between two pings, and between two heartbeats. Default 15 seconds. */
  readonly agentPingInterval?: Duration.Input | undefined
  /**
   * How long an agent may be silent, and how long the last heartbeat may take. Default and minimum: two intervals,
   * because an agent is pinged once in each, and 2 seconds.
   */
  readonly agentPingTimeout?: Duration.Input | undefined
}

/** Why a connection has to end. */
export type Reason = "ping timeout" | "the build of the agent is no longer the latest"

export interface Monitored {
  /** Waits until the connection has to end, and returns why. */
  readonly ended: Effect.Effect<Reason>
}

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const replica = yield* Replica
  const publish = yield* SessionEvents.make
  const interval = Duration.fromInputUnsafe(options.agentPingInterval ?? "15 seconds")
  const minimum = Duration.max(Duration.times(interval, 2), Duration.seconds(2))
  const timeout = Duration.max(Duration.fromInputUnsafe(options.agentPingTimeout ?? minimum), minimum)
  /** The sessions of recorded connections of this process, by agent. */
  const recorded = new Map<AgentId, Set<AgentSession["Service"]>>()

  const { record, recordNow } = yield* makeRecorder(interval)

  /** Pings until the agent has been silent for the timeout. */
  const watchSilence = Effect.fnUntraced(function* (ping: Effect.Effect<void>) {
    const heardAt = yield* Ref.make(yield* Clock.monotonicTimeNanos)
    const listen = ping.pipe(
      Effect.andThen(Effect.flatMap(Clock.monotonicTimeNanos, (now) => Ref.set(heardAt, now))),
      Effect.delay(interval),
      Effect.forever
    )
    const isSilent = Effect.gen(function* () {
      const silence = (yield* Clock.monotonicTimeNanos) - (yield* Ref.get(heardAt))
      return Duration.isGreaterThan(Duration.nanos(silence), timeout)
    })
    const silent = Effect.as(Effect.logWarning("agent does not answer pings"), "ping timeout" as const)
    return { listen, isSilent, silent }
  })

  /** Monitors a connection in another role until the scope closes. */
  const startUnrecorded = Effect.fnUntraced(function* (
    ping: Effect.Effect<void>
  ): Effect.fn.Return<Monitored, never, AgentSession | Scope.Scope> {
    const session = yield* AgentSession
    const { isSilent, listen, silent } = yield* watchSilence(ping)
    const check = Effect.flatMap(isSilent, (isSilent) => (isSilent ? silent : Effect.undefined))
    const watch = everyInterval(interval, check).pipe(annotated(session))
    return { ended: Fiber.join(yield* Effect.forkScoped(Effect.raceFirst(listen, watch))) }
  })

  /** Monitors the connection of the session until the scope closes. `ping` succeeds when the agent has answered. */
  const start = Effect.fnUntraced(function* (
    ping: Effect.Effect<void>
  ): Effect.fn.Return<Monitored, StoreError | PubSubError, AgentSession | Scope.Scope> {
    const session = yield* AgentSession
    const { identity } = session
    const { agentId } = identity
    const startedAt = yield* DateTime.now
    const known = yield* Ref.make<AgentSocketRecord>({
      agentId,
      replicaId: replica,
      firstConnectedAt: identity.firstConnectedAt ?? startedAt,
      lastConnectedAt: startedAt,
      disconnectedAt: identity.disconnectedAt,
      phase: "start"
    })
    const { isSilent, listen, silent } = yield* watchSilence(ping)

    const announce = publish("agt_connection_update")

    const recordEnd = DateTime.now.pipe(
      Effect.flatMap((now) =>
        Effect.flatMap(Ref.get(known), (known) => recordNow({ ...known, disconnectedAt: now, phase: "end" }))
      ),
      Effect.timeout(timeout),
      Effect.catch((error) => Effect.logError("end of an agent connection not recorded", error)),
      Effect.andThen(Effect.ignore(Effect.timeout(announce, timeout), { log: "Warn" })),
      annotated(session),
      Effect.provideService(AgentSession, session)
    )
    yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const others = recorded.get(agentId) ?? new Set()
        const fence = Effect.forEach([...others], ({ receiptTime }) => receiptTime.fence, { discard: true })
        recorded.set(agentId, others.add(session))
        return fence
      }),
      () =>
        Effect.suspend(() => {
          const others = recorded.get(agentId)
          others?.delete(session)
          if (others !== undefined && others.size > 0) return Effect.void
          recorded.delete(agentId)
          return recordEnd
        })
    )
    yield* Effect.andThen(Effect.flatMap(Ref.get(known), recordNow), announce)

    const check = Effect.gen(function* () {
      if (yield* isSilent) return yield* silent
      const now = yield* DateTime.now
      const current = yield* Ref.updateAndGet(known, (known) => ({ ...known, lastConnectedAt: now }))
      const connected = { ...current, disconnectedAt: null, phase: "heartbeat" as const }
      switch (yield* record(connected)) {
        case undefined:
          return yield* Effect.logWarning("heartbeat of an agent skipped, because its row is locked")
        case "replaced":
          yield* session.receiptTime.fence
          return yield* Effect.logDebug("agent is connected to another replica")
        case "latest":
          if (current.disconnectedAt !== null) yield* Effect.andThen(announce, Ref.set(known, connected))
          return
        case "outdated":
          if (current.disconnectedAt !== null) yield* Effect.andThen(announce, Ref.set(known, connected))
          yield* Effect.logInfo("agent belongs to a build that is no longer the latest")
          return "the build of the agent is no longer the latest" as const
      }
    }).pipe(
      Effect.catch((error) => Effect.logWarning("heartbeat of an agent not recorded", error)),
      annotated(session),
      Effect.provideService(AgentSession, session)
    )
    const watch = everyInterval(
      interval,
      Effect.map(check, (reason) => reason ?? undefined)
    )
    return { ended: Fiber.join(yield* Effect.forkScoped(Effect.raceFirst(listen, watch))) }
  })

  return { start, startUnrecorded }
})

const annotated = ({ identity }: AgentSession["Service"]) =>
  Effect.annotateLogs({ agentId: identity.agentId, workspaceId: identity.workspace.id })

/** Runs a check once an interval, until it returns a reason. */
const everyInterval = (interval: Duration.Duration, check: Effect.Effect<Reason | undefined>): Effect.Effect<Reason> =>
  Effect.delay(check, interval).pipe(
    Effect.filterOrElse(
      (reason) => reason !== undefined,
      () => everyInterval(interval, check)
    )
  )

/** Makes the functions that record heartbeats: coalesced in a window of a fifteenth of the interval, or at once. */
const makeRecorder = Effect.fnUntraced(function* (interval: Duration.Duration) {
  const store = yield* AgentSocketStore
  const { request, requestNow } = yield* RequestCoalescer.make({
    name: "AgentSocketMonitor.heartbeats",
    window: Duration.min(Duration.divideUnsafe(interval, 15), Duration.seconds(1)),
    maxSize: maxRecords,
    // one after the other, so that an older heartbeat of an agent cannot overtake a newer one
    concurrency: 1,
    keyOf: ({ agentId }: AgentSocketRecord) => agentId,
    call: (records) =>
      Effect.map(
        store.recordHeartbeats(records),
        (recorded) =>
          ({ agentId }) =>
            recorded.get(agentId)
      )
  })
  const lockedWrites = yield* Semaphore.make(maxLockedWrites)
  /** Returns nothing if the heartbeat was skipped. */
  const record = (heartbeat: AgentSocketRecord) =>
    Effect.filterOrElse(request(heartbeat), Predicate.isNotUndefined, () =>
      Effect.map(lockedWrites.withPermitsIfAvailable(1)(store.recordHeartbeat(heartbeat)), Option.getOrUndefined)
    )
  const recordNow = (heartbeat: AgentSocketRecord) =>
    Effect.filterOrElse(requestNow(heartbeat), Predicate.isNotUndefined, () =>
      lockedWrites.withPermit(store.recordHeartbeat(heartbeat))
    )
  return { record, recordNow }
})
