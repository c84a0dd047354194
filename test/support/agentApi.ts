/** The agent API of a test: ports that no call uses, and the session of a call. */
import { DateTime, Effect, Layer, Schema } from "effect"
import { ActivityBump } from "../../src/usage/ActivityBump.ts"
import { AgentSession } from "../../src/agentapi/session/AgentSession.ts"
import { AgentContextStore } from "../../src/agentapi/ports/AgentContextStore.ts"
import { AppStore } from "../../src/agentapi/ports/AppStore.ts"
import * as ApiVersion from "../../src/agentapi/ApiVersion.ts"
import { BoundaryUsage } from "../../src/usage/BoundaryUsage.ts"
import { ManifestStore } from "../../src/agentapi/ports/ManifestStore.ts"
import { Notifications } from "../../src/agentapi/ports/Notifications.ts"
import * as Replica from "../../src/domain/Replica.ts"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import { StatsReporter } from "../../src/usage/StatsReporter.ts"
import { StatsStore } from "../../src/usage/StatsStore.ts"
import { WorkspaceStore } from "../../src/access/WorkspaceStore.ts"
import { type AgentId, ReplicaId } from "../../src/domain/Ids.ts"
import { UsageStore } from "../../src/usage/UsageStore.ts"
import { AgentReader } from "../../src/watch/AgentReader.ts"
import { LogReader } from "../../src/watch/LogReader.ts"
import { token } from "./accessStore.ts"
import { identity } from "./identity.ts"
import { ActivityStore } from "../../src/usage/ActivityStore.ts"
import { BoundaryUsageStore } from "../../src/usage/BoundaryUsageStore.ts"
import { UserSessionStore } from "../../src/agentapi/ports/UserSessionStore.ts"
import { AgentSocketStore } from "../../src/agentapi/ports/AgentSocketStore.ts"
import { LifecycleStore } from "../../src/agentapi/ports/LifecycleStore.ts"
import { LogStore } from "../../src/agentapi/ports/LogStore.ts"
import { ScriptStore } from "../../src/agentapi/ports/ScriptStore.ts"
import { ResourceMonitorStore } from "../../src/agentapi/ports/ResourceMonitorStore.ts"
import { SubAgentStore } from "../../src/agentapi/ports/SubAgentStore.ts"

export const replica = ReplicaId.make("00000000-0000-4000-b000-000000000001")

/** Records heartbeats one by one, however many are in a write. */
export const layerConnections = (recordHeartbeat: AgentSocketStore["Service"]["recordHeartbeat"]) =>
  Layer.succeed(AgentSocketStore, {
    recordHeartbeat,
    recordHeartbeats: (records) =>
      Effect.map(
        Effect.forEach(records, (record) =>
          Effect.map(recordHeartbeat(record), (recorded) => [record.agentId, recorded] as const)
        ),
        (recorded) => new Map(recorded)
      )
  })

/** The declared keys of an agent that may report any key. */
export const anyKey = { has: () => true, size: Number.POSITIVE_INFINITY }

/** Every port of the agent API. Agents may come and go; whatever else is asked dies. */
export const layerPorts = Layer.mergeAll(
  layerConnections(() => Effect.succeed("latest")),
  Layer.mock(WorkspaceStore)({}),
  Layer.mock(LifecycleStore)({}),
  Layer.mock(ManifestStore)({ declaredKeys: () => Effect.succeed(anyKey) }),
  Layer.mock(SiteConfigs)({}),
  Layer.mock(AppStore)({}),
  Layer.mock(ActivityStore)({}),
  Layer.mock(ActivityBump)({}),
  Layer.mock(StatsReporter)({}),
  Layer.mock(StatsStore)({}),
  Layer.mock(UsageStore)({}),
  Layer.mock(Notifications)({}),
  Layer.mock(LogStore)({}),
  Layer.mock(LogReader)({}),
  Layer.mock(AgentReader)({}),
  Layer.mock(AgentContextStore)({}),
  Layer.mock(ScriptStore)({}),
  Layer.mock(UserSessionStore)({}),
  Layer.mock(BoundaryUsageStore)({}),
  Layer.mock(BoundaryUsage)({}),
  Layer.mock(SubAgentStore)({}),
  Layer.mock(ResourceMonitorStore)({ load: () => Effect.succeed({ memory: null, volumes: [] }) }),
  Layer.succeed(Replica.Replica, replica)
)

/** The session of an agent, whose workspace is cached. */
export const session = (
  agentId: AgentId,
  overrides: Partial<AgentSession["Service"]> = {}
): AgentSession["Service"] => {
  const known = overrides.identity ?? identity(agentId)
  return AgentSession.of({
    identity: known,
    apiVersion: ApiVersion.current,
    token: token(`of ${agentId}`),
    cachedWorkspace: { get: Effect.succeedSome(known.workspace) },
    declaredKeys: anyKey,
    receiptTime: { now: DateTime.now, fence: Effect.void },
    monitors: { configuration: Effect.succeed({ memory: null, volumes: [] }), push: () => Effect.succeed([]) },
    workspace: Effect.succeed(known.workspace),
    ...overrides
  })
}

/**
 * Calls a handler of a session with what an agent puts on the wire, decoded as the server decodes it: a property that is
 * undefined is absent there.
 */
export const calling =
  <S extends Schema.ConstraintDecoder<unknown>, A, E, R>(
    payload: S,
    handler: (request: S["Type"]) => Effect.Effect<A, E, R>,
    session: AgentSession["Service"]
  ) =>
  (request: unknown) =>
    Effect.flatMap(Schema.decodeUnknownEffect(payload)(JSON.parse(JSON.stringify(request))), handler).pipe(
      Effect.provideService(AgentSession, session)
    )
