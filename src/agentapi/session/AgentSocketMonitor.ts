/**
 * Records when agents are connected, and ends connections that are dead or no longer wanted: one actor for all
 * WebSockets of the process.
 *
 * - A connection is recorded and announced before anything is served. If it cannot be recorded, the agent is not served;
 *   if it cannot be announced, a warning says so.
 * - An agent that answers no pings is disconnected, and so is one that has reached its maximum age, so that it connects
 *   anew: see {@link ConnectionVisits}.
 * - A heartbeat is recorded once per interval, and announced if the agent was recorded as disconnected. A heartbeat
 *   that fails, or whose row is locked for long, is a warning. A heartbeat that finds a newer build of the workspace ends
 *   the connection.
 * - The end of a connection is recorded and announced, each within the timeout, unless the agent has another
 *   connection. A new connection of an agent fences its older one: see {@link ReceiptTime}.
 * - A connection in another role is pinged and ended in the same way, but nothing is recorded for it.
 */
import { Clock, DateTime, Duration, Effect, Exit, Fiber, Option, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import type { AgentId } from "../../domain/Ids.ts"
import { AgentSession } from "./AgentSession.ts"
import { Replica } from "../../domain/Replica.ts"
import * as ConnectionVisits from "./ConnectionVisits.ts"
import * as Heartbeats from "./Heartbeats.ts"
import * as SessionEvents from "./SessionEvents.ts"
import { annotated } from "../internal/annotated.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import type { AgentSocketRecord } from "../ports/AgentSocketStore.ts"

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

export type { Monitored, Reason } from "./ConnectionVisits.ts"

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const replica = yield* Replica
  const publish = yield* SessionEvents.make
  const publishOrWarn = yield* SessionEvents.makeOrWarn
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const interval = Duration.fromInputUnsafe(options.agentPingInterval ?? "15 seconds")
  const minimum = Duration.max(Duration.times(interval, 2), Duration.seconds(2))
  const timeout = Duration.max(Duration.fromInputUnsafe(options.agentPingTimeout ?? minimum), minimum)
  /** The sessions of recorded connections of this process, by agent. */
  const recorded = new Map<AgentId, ReadonlyArray<AgentSession["Service"]>>()

  const announce = publish("agt_connection_update")
  const heartbeats = yield* Heartbeats.make(interval)
  const watch = yield* ConnectionVisits.make({ interval, timeout, maxAge: options.agentMaxConnectionAge })

  /** Monitors a connection in another role until the scope closes. */
  const startUnrecorded = (
    monitored: ConnectionVisits.Monitored
  ): Effect.Effect<void, never, AgentSession | Scope.Scope> =>
    AgentSession.use((session) => watch(session, monitored, () => {}))

  /** Monitors the connection of the session until the scope closes. */
  const start = Effect.fnUntraced(function* (
    monitored: ConnectionVisits.Monitored
  ): Effect.fn.Return<void, StoreError, AgentSession | Scope.Scope> {
    const session = yield* AgentSession
    const scope = yield* Effect.scope
    const { identity } = session
    const { agentId } = identity
    const startedAt = yield* DateTime.now
    const firstConnectedAt = identity.firstConnectedAt ?? startedAt
    let lastConnectedAt = startedAt
    /** Null once nobody takes the agent for disconnected. */
    let { disconnectedAt } = identity
    const recordOf = (phase: AgentSocketRecord["phase"], goneAt: DateTime.Utc | null): AgentSocketRecord => ({
      agentId,
      replicaId: replica,
      firstConnectedAt,
      lastConnectedAt,
      disconnectedAt: goneAt,
      phase
    })
    let heartbeat: Heartbeats.Heartbeat | undefined

    // made when it is needed: a connection would keep all parts of it
    const recordEnd = () =>
      DateTime.now.pipe(
        Effect.flatMap((now) => heartbeats.recordNow(recordOf("end", now))),
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
          if (heartbeat !== undefined) heartbeats.removeUnsafe(heartbeat)
          const others = (recorded.get(agentId) ?? []).filter((other) => other !== session)
          if (others.length > 0) return Effect.sync(() => void recorded.set(agentId, others))
          recorded.delete(agentId)
          return recordEnd()
        })
    )
    yield* heartbeats.recordNow(recordOf("start", disconnectedAt))
    yield* publishOrWarn("agt_connection_update")

    const announceReturn = Effect.suspend(() => {
      if (disconnectedAt === null) return Effect.void
      return Effect.andThen(
        announce,
        Effect.sync(() => void (disconnectedAt = null))
      )
    })
    const settling = makeSettling(heartbeats, session, monitored, announceReturn)
    const settle = () => void (heartbeat = undefined)
    const beat = () => {
      // the one before is under way
      if (heartbeat !== undefined) return
      lastConnectedAt = DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
      const record = recordOf("heartbeat", null)
      heartbeat = {
        record,
        written: (result) => {
          const isOrdinary = Exit.isSuccess(result) && result.value === "latest" && disconnectedAt === null
          if (isOrdinary) return settle()
          Fiber.runIn(fork(Effect.ensuring(settling(record, result), Effect.sync(settle))), scope)
        }
      }
      heartbeats.addUnsafe(heartbeat)
    }
    yield* watch(session, monitored, beat)
  })

  return { start, startUnrecorded }
})

// ----- internals -----

/** Makes the function that does what the result of a heartbeat asks for. */
const makeSettling =
  (
    heartbeats: Heartbeats.Heartbeats,
    session: AgentSession["Service"],
    { end }: ConnectionVisits.Monitored,
    announceReturn: Effect.Effect<void, unknown, AgentSession>
  ) =>
  (record: AgentSocketRecord, result: Heartbeats.Result) =>
    Effect.gen(function* () {
      const written = yield* result
      switch (written ?? Option.getOrUndefined(yield* heartbeats.recordLocked(record))) {
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
      Effect.flatMap((reason) => (reason === undefined ? Effect.void : end(reason))),
      annotated(session.identity),
      Effect.provideService(AgentSession, session)
    )
