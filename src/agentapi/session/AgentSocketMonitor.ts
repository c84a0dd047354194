/**
 * Records when agents are connected, and ends connections that are dead or no longer wanted: one actor for all
 * WebSockets of the process.
 *
 * - A connection is recorded and announced before anything is served. If it cannot be recorded, the agent is not served;
 *   if it cannot be announced, a warning says so.
 * - The agent is pinged once per interval, unless it is known to have sent something in it. The connection ends after a
 *   whole timeout of silence, in monotonic time, in which a ping was not answered.
 * - A heartbeat is recorded once per interval, and announced if the agent was recorded as disconnected. A heartbeat
 *   that fails is a warning. A heartbeat that finds a newer build of the workspace ends the connection.
 * - A connection that has reached its maximum age ends, so that its agent connects anew.
 * - The end of a connection is recorded and announced, each within the timeout, unless the agent has another
 *   connection. A new connection of an agent fences its older one: see {@link ReceiptTime}.
 * - Heartbeats of a process are coalesced: the heartbeats within a fifteenth of the interval, at most a second, are one
 *   write, in order. The first and the last heartbeat of a connection do not wait for that window.
 * - A coalesced write skips locked rows. Each skipped agent gets a write of its own, at most two of which run at a
 *   time; periodic heartbeats beyond them are skipped with a warning.
 * - A connection in another role is pinged and ended in the same way, but nothing is recorded for it.
 */
import { Clock, DateTime, Duration, Effect, Option, Predicate, Random, type Scope, Semaphore } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"
import { AgentSession } from "./AgentSession.ts"
import { Replica } from "../../domain/Replica.ts"
import * as SessionEvents from "./SessionEvents.ts"
import { annotated } from "../internal/annotated.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import { type AgentSocketRecord, AgentSocketStore } from "../ports/AgentSocketStore.ts"
import * as Wheel from "../../platform/Wheel.ts"

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
  /** The age, varied by a tenth, at which a connection ends with the next ping. Default: none. */
  readonly agentMaxConnectionAge?: Duration.Input | undefined
}

/** Why a connection has to end. */
export type Reason =
  | "ping timeout"
  | "the build of the agent is no longer the latest"
  | "the connection reached its maximum age"

/** A connection that is monitored. */
export interface Monitored {
  /** Pings the agent, and succeeds when it has answered. */
  readonly ping: Effect.Effect<void>
  /** The monotonic time at which the agent last sent something by itself, if that is known. */
  readonly heardAtUnsafe?: (() => bigint) | undefined
  /** Called when the connection has to end: it has to close the scope. */
  readonly end: (reason: Reason) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const replica = yield* Replica
  const publish = yield* SessionEvents.make
  const publishOrWarn = yield* SessionEvents.makeOrWarn
  const interval = Duration.fromInputUnsafe(options.agentPingInterval ?? "15 seconds")
  const minimum = Duration.max(Duration.times(interval, 2), Duration.seconds(2))
  const timeout = Duration.max(Duration.fromInputUnsafe(options.agentPingTimeout ?? minimum), minimum)
  /** The sessions of recorded connections of this process, by agent. */
  const recorded = new Map<AgentId, ReadonlyArray<AgentSession["Service"]>>()

  const announce = publish("agt_connection_update")
  const { record, recordNow } = yield* makeRecorder(interval)

  const wheel = yield* Wheel.make(interval)

  const watch = makeWatch(wheel, timeout, options.agentMaxConnectionAge)

  /** Monitors a connection in another role until the scope closes. */
  const startUnrecorded = (monitored: Monitored): Effect.Effect<void, never, AgentSession | Scope.Scope> =>
    AgentSession.use((session) => watch(session, monitored, () => Effect.void))

  /** Monitors the connection of the session until the scope closes. */
  const start = Effect.fnUntraced(function* (
    monitored: Monitored
  ): Effect.fn.Return<void, StoreError, AgentSession | Scope.Scope> {
    const session = yield* AgentSession
    const { identity } = session
    const { agentId } = identity
    const startedAt = yield* DateTime.now
    let known: AgentSocketRecord = {
      agentId,
      replicaId: replica,
      firstConnectedAt: identity.firstConnectedAt ?? startedAt,
      lastConnectedAt: startedAt,
      disconnectedAt: identity.disconnectedAt,
      phase: "start"
    }

    // made when it is needed, as is `check`: a connection would keep all parts of them
    const recordEnd = () =>
      DateTime.now.pipe(
        Effect.flatMap((now) => recordNow({ ...known, disconnectedAt: now, phase: "end" })),
        Effect.timeout(timeout),
        Effect.catch((error) => Effect.logError("end of an agent connection not recorded", error)),
        Effect.andThen(Effect.ignore(Effect.timeout(announce, timeout), { log: "Warn" })),
        annotated(identity),
        Effect.provideService(AgentSession, session)
      )
    yield* LeanScope.acquireRelease(
      Effect.suspend(() => {
        const others = recorded.get(agentId) ?? []
        recorded.set(agentId, [...others, session])
        return Effect.forEach(others, ({ receiptTime }) => receiptTime.fence, { discard: true })
      }),
      () =>
        Effect.suspend(() => {
          const others = (recorded.get(agentId) ?? []).filter((other) => other !== session)
          if (others.length > 0) return Effect.sync(() => void recorded.set(agentId, others))
          recorded.delete(agentId)
          return recordEnd()
        })
    )
    yield* recordNow(known)
    yield* publishOrWarn("agt_connection_update")

    const check = () =>
      Effect.gen(function* () {
        const now = yield* DateTime.now
        const current = (known = { ...known, lastConnectedAt: now })
        const connected = { ...current, disconnectedAt: null, phase: "heartbeat" as const }
        const announceReturn = Effect.gen(function* () {
          if (current.disconnectedAt === null) return
          yield* announce
          known = connected
        })
        switch (yield* record(connected)) {
          case undefined:
            return yield* Effect.logWarning("heartbeat of an agent skipped, because its row is locked")
          case "replaced":
            yield* session.receiptTime.fence
            return yield* Effect.logDebug("agent is connected to another replica")
          case "latest":
            return yield* announceReturn
          case "outdated":
            yield* announceReturn
            yield* Effect.logInfo("agent belongs to a build that is no longer the latest")
            return "the build of the agent is no longer the latest" as const
        }
      }).pipe(
        Effect.catchCause((cause) => Effect.logWarning("heartbeat of an agent not recorded", cause)),
        Effect.provideService(AgentSession, session)
      )
    yield* watch(session, monitored, check)
  })

  return { start, startUnrecorded }
})

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

/** Returns a function that pings an agent and, once per interval, ends a connection that is silent or old, or runs `check`. */
const makeWatch = (wheel: Wheel.Wheel, timeout: Duration.Duration, maxAge: Duration.Input | undefined) => {
  const timeoutNanos = Duration.toNanosUnsafe(timeout)

  return Effect.fnUntraced(function* (
    session: AgentSession["Service"],
    { end, heardAtUnsafe = neverHeard, ping }: Monitored,
    check: () => Effect.Effect<Reason | void>
  ) {
    let heardAt = yield* Clock.monotonicTimeNanos
    let visitedAt = heardAt
    /** The time of the ping that is not answered yet. */
    let pingedAt: bigint | undefined
    const expiresAt = yield* expiryOf(heardAt, maxAge)

    const pingUnlessHeard = (now: bigint) => {
      const isHeard = heardAtUnsafe() > visitedAt
      visitedAt = now
      if (isHeard) return Effect.void
      pingedAt = now
      return Effect.map(Effect.andThen(ping, Clock.monotonicTimeNanos), (now) => {
        heardAt = now
        pingedAt = undefined
      })
    }
    yield* wheel.add(Effect.flatMap(Clock.monotonicTimeNanos, pingUnlessHeard))

    // a ping of this turn cannot be answered yet
    const isSilent = (now: bigint) =>
      pingedAt !== undefined &&
      now - pingedAt > timeoutNanos / 4n &&
      now - heardAt > timeoutNanos &&
      now - heardAtUnsafe() > timeoutNanos
    const checkUnlessSilent = () =>
      Effect.flatMap(Clock.monotonicTimeNanos, (now): Effect.Effect<Reason | void> =>
        isSilent(now) ? silent : now >= expiresAt ? Effect.succeed("the connection reached its maximum age") : check()
      ).pipe(
        Effect.flatMap((reason) => (reason === undefined ? Effect.void : end(reason))),
        annotated(session.identity)
      )
    yield* wheel.add(Effect.suspend(checkUnlessSilent))
  })
}

const silent = Effect.as(Effect.logWarning("agent does not answer pings"), "ping timeout" as const)

const neverHeard = () => 0n

/** Returns the time at which a connection has reached its age, varied by a tenth. */
const expiryOf = (now: bigint, maxAge: Duration.Input | undefined) =>
  maxAge === undefined
    ? Effect.succeed(Number.POSITIVE_INFINITY)
    : Effect.map(Random.nextBetween(0.9, 1.1), (part) => Number(now) + Duration.toMillis(maxAge) * part * 1e6)
