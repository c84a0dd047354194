/**
 * Notes when an agent is connected, and ends a connection that is none any more: an actor of an agent's connection.
 *
 * - A connection is noted before anything is served, and announced. When that fails the agent is not served.
 * - The agent is pinged once a period. One that has not answered for as long as the timeout has gone: its connection ends.
 *   Silence is what time has passed, whatever becomes of the time of day.
 * - Once a period the connection is noted anew, and announced if the agent was thought to have left. While that cannot be
 *   written the agent stays, with a warning.
 * - The connection of an agent whose build is no longer the latest ends with the next note, so within a period.
 * - However a connection ends, that is noted and announced. For each there is as much time as the timeout.
 * - Notes of a process are {@link RequestCoalescer}: those of a fifteenth of a period, but no more than a second, are written
 *   together, the newest of each agent, and none after a newer one. The first and the last of a connection wait for no more
 *   than what is being written, and take along what waits.
 * - A write never waits for a row that something else has locked: that agent is noted alone, and holds up nobody whose row
 *   is free. No more than two are noted alone at a time, however many are locked, so that connections are left for others;
 *   the first and the last note of a connection wait for their turn, any other for the next period, with a warning.
 */
import { Clock, DateTime, Duration, Effect, Fiber, Option, Predicate, Ref, type Scope, Semaphore } from "effect"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { PubSubError } from "../../pubsub/PubSub.ts"
import { AgentSession } from "./AgentSession.ts"
import { Replica } from "../../domain/Replica.ts"
import * as SessionEvents from "./SessionEvents.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import { type ConnectionNote, ConnectionStore } from "../ports/ConnectionStore.ts"

/** Agents in a write. */
const maxNotes = 1_000

/** Agents that are noted alone at the same time: each may keep a connection of the store waiting for a lock. */
const maxAlone = 2

export interface Options {
  /** The time between two pings, and between two notes. Default 15 seconds. */
  readonly period?: Duration.Input | undefined
  /**
   * How long an agent may be silent, and how long the last note may take. Default and least: two periods, because an agent
   * is heard of once in one, and 2 seconds.
   */
  readonly timeout?: Duration.Input | undefined
}

/** Why a connection has to end. */
export type Reason = "ping timeout" | "the build of the agent is no longer the latest"

export interface Monitored {
  /** Waits until the connection has to end, and says why. */
  readonly over: Effect.Effect<Reason>
}

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const store = yield* ConnectionStore
  const replica = yield* Replica
  const publish = yield* SessionEvents.make
  const period = Duration.fromInputUnsafe(options.period ?? "15 seconds")
  const least = Duration.max(Duration.times(period, 2), Duration.seconds(2))
  const timeout = Duration.max(Duration.fromInputUnsafe(options.timeout ?? least), least)

  const { request, requestNow } = yield* RequestCoalescer.make({
    name: "ConnectionMonitor.note",
    window: Duration.min(Duration.divideUnsafe(period, 15), Duration.seconds(1)),
    maxSize: maxNotes,
    // one after the other, so that an older note of an agent cannot overtake a newer one
    concurrency: 1,
    keyOf: ({ agentId }: ConnectionNote) => agentId,
    call: (notes) =>
      Effect.map(
        store.noteMany(notes),
        (noted) =>
          ({ agentId }) =>
            noted.get(agentId)
      )
  })
  const alone = yield* Semaphore.make(maxAlone)
  /** Answers nothing when it is left for the next period. */
  const note = (note: ConnectionNote) =>
    Effect.filterOrElse(request(note), Predicate.isNotUndefined, () =>
      Effect.map(alone.withPermitsIfAvailable(1)(store.note(note)), Option.getOrUndefined)
    )
  const noteNow = (note: ConnectionNote) =>
    Effect.filterOrElse(requestNow(note), Predicate.isNotUndefined, () => alone.withPermit(store.note(note)))

  /**
   * Monitors the connection of the session until the scope closes. `ping` succeeds when the agent has answered.
   */
  const start = Effect.fnUntraced(function* (
    ping: Effect.Effect<void>
  ): Effect.fn.Return<Monitored, StoreError | PubSubError, AgentSession | Scope.Scope> {
    const session = yield* AgentSession
    const { identity } = session
    const start = yield* DateTime.now
    const known = yield* Ref.make<ConnectionNote>({
      agentId: identity.agentId,
      replicaId: replica,
      firstConnectedAt: identity.firstConnectedAt ?? start,
      lastConnectedAt: start,
      disconnectedAt: identity.disconnectedAt
    })
    const annotate = Effect.annotateLogs({ agentId: identity.agentId, workspaceId: identity.workspace.id })
    const heardAt = yield* Ref.make(yield* Clock.monotonicTimeNanos)

    const announce = publish("agt_connection_update")

    yield* Effect.addFinalizer(() =>
      DateTime.now.pipe(
        Effect.flatMap((now) => Effect.flatMap(Ref.get(known), (known) => noteNow({ ...known, disconnectedAt: now }))),
        Effect.timeout(timeout),
        Effect.catch((error) => Effect.logError("that an agent has left cannot be noted", error)),
        Effect.andThen(Effect.ignore(Effect.timeout(announce, timeout), { log: "Warn" })),
        annotate,
        Effect.provideService(AgentSession, session)
      )
    )
    yield* Effect.andThen(Effect.flatMap(Ref.get(known), noteNow), announce)

    const listen = ping.pipe(
      Effect.andThen(Effect.flatMap(Clock.monotonicTimeNanos, (now) => Ref.set(heardAt, now))),
      Effect.delay(period),
      Effect.forever
    )

    const check = Effect.gen(function* () {
      const silence = (yield* Clock.monotonicTimeNanos) - (yield* Ref.get(heardAt))
      if (Duration.isGreaterThan(Duration.nanos(silence), timeout)) {
        yield* Effect.logWarning("an agent does not answer pings")
        return "ping timeout" as const
      }
      const now = yield* DateTime.now
      const current = yield* Ref.updateAndGet(known, (known) => ({ ...known, lastConnectedAt: now }))
      const connected = { ...current, disconnectedAt: null }
      const isLatest = yield* note(connected)
      if (isLatest === undefined) {
        return yield* Effect.logWarning(
          "that an agent is connected is not noted before the next period: its row is locked"
        )
      }
      if (current.disconnectedAt !== null) yield* Effect.andThen(announce, Ref.set(known, connected))
      if (isLatest) return
      yield* Effect.logInfo("an agent belongs to a build that is no longer the latest")
      return "the build of the agent is no longer the latest" as const
    }).pipe(
      Effect.catch((error) => Effect.logWarning("that an agent is connected cannot be noted", error)),
      annotate,
      Effect.provideService(AgentSession, session)
    )

    const watch: Effect.Effect<Reason> = Effect.delay(check, period).pipe(
      Effect.filterOrElse(
        (reason) => reason !== undefined,
        () => watch
      )
    )
    return { over: Fiber.join(yield* Effect.forkScoped(Effect.raceFirst(listen, watch))) }
  })

  return { start }
})
