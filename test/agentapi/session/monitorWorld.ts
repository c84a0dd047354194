/** A monitor of one connection under the test clock, with a store and a pubsub that remember what they were asked. */
import type { DateTime } from "effect"
import { Clock, Deferred, Effect, Exit, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as AgentSocketMonitor from "../../../src/agentapi/session/AgentSocketMonitor.ts"
import { Replica } from "../../../src/domain/Replica.ts"
import type { AgentIdentity } from "../../../src/domain/AgentIdentity.ts"
import type { PubSubError } from "../../../src/pubsub/PubSub.ts"
import { PubSub } from "../../../src/pubsub/PubSub.ts"
import { layerConnections, replica, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import * as WallClock from "../../support/WallClock.ts"
import type { Recorded } from "../../../src/agentapi/ports/AgentSocketStore.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const millis = (time: DateTime.Utc | null) => (time === null ? null : time.epochMilliseconds)

export const away = Effect.fail(
  new StoreError({ operation: "record the heartbeat of an agent", reason: "unavailable", cause: new Error("away") })
)

interface World {
  record: Effect.Effect<void, StoreError>
  result: Effect.Effect<Recorded>
  ping: Effect.Effect<void>
  heardAt: number | undefined
  /** Whether messages of the agent wait for their turn. */
  isBehind: boolean
  publish: Effect.Effect<void, PubSubError>
}

/** A monitor of a connection that begins a second after the test; `journal` has what it asked, in order. */
export const start = Effect.fnUntraced(function* (
  options: AgentSocketMonitor.Options & {
    readonly role?: "start" | "startUnrecorded"
    readonly who?: Partial<AgentIdentity>
    readonly world?: Partial<World>
  } = {}
) {
  yield* TestClock.setTime(1_000)
  const clock = yield* Clock.Clock
  let stalled = 0n
  const wall = yield* WallClock.make
  const stalling: Clock.Clock = {
    ...wall.clock,
    monotonicTimeNanosUnsafe: () => wall.clock.monotonicTimeNanosUnsafe() + stalled
  }
  const logs: Array<LogRecord> = []
  const journal: Array<unknown> = []
  const world: World = {
    record: Effect.void,
    result: Effect.succeed("latest"),
    ping: Effect.void,
    heardAt: undefined,
    isBehind: false,
    publish: Effect.void,
    ...options.world
  }
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const pings: Array<number> = []
  const scope = yield* Scope.make()
  const reason = yield* Deferred.make<AgentSocketMonitor.Reason>()
  const monitor = yield* AgentSocketMonitor.make(options).pipe(
    Effect.provide(
      layerConnections(({ agentId, disconnectedAt, firstConnectedAt, lastConnectedAt, replicaId }) =>
        Effect.suspend(() => {
          journal.push([agentId, millis(firstConnectedAt), millis(lastConnectedAt), millis(disconnectedAt), replicaId])
          return Effect.andThen(world.record, world.result)
        })
      )
    ),
    Effect.provideService(Replica, replica),
    Effect.provideService(PubSub, {
      publish: (channel, payload) =>
        Effect.suspend(() => {
          journal.push(`${channel} ${JSON.parse(payload).kind}`)
          return world.publish
        }),
      subscribe: () => Stream.never
    }),
    collectLogs(logs),
    Effect.provideService(Clock.Clock, stalling)
  )
  const started = yield* Effect.exit(
    monitor[options.role ?? "start"]({
      pingUnsafe: (answered) => {
        pings.push(clock.currentTimeMillisUnsafe())
        const answering = fork(Effect.map(world.ping, answered))
        return () => answering.interruptUnsafe()
      },
      heardAtUnsafe: world.heardAt === undefined ? undefined : () => world.heardAt ?? 0,
      isBehindUnsafe: () => world.isBehind,
      end: (why) => Deferred.succeed(reason, why)
    }).pipe(
      Scope.provide(scope),
      collectLogs(logs),
      Effect.provideService(Clock.Clock, stalling),
      Effect.provideService(AgentSession, session(agent(1), { identity: { ...identity(agent(1)), ...options.who } }))
    )
  )
  const close = collectLogs(logs)(Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() => Effect.sync(() => (world.record = Effect.void)).pipe(Effect.andThen(close)))
  return {
    started,
    ended: yield* Effect.forkScoped(Deferred.await(reason)),
    /** The journal since the last call. */
    since: () => journal.splice(0),
    /** The times of the pings since the last call. */
    pinged: () => pings.splice(0),
    /** Lets the process miss so much time. */
    stall: (millis: number) => void (stalled += BigInt(millis) * 1_000_000n),
    world,
    wall,
    logs,
    close
  }
})

export const announced = `workspace_owner:${workspace.ownerId} agt_connection_update`

export const recorded = (first: number, last: number, disconnected: number | null = null) => [
  agent(1),
  first,
  last,
  disconnected,
  replica
]
