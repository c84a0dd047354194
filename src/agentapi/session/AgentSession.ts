/**
 * The session of one connection of one agent: an actor that lives from its upgrade to its end.
 *
 * The identity of the agent is fixed when it connects. The scope of the session releases its parts in reverse order.
 */
import { Context, DateTime, Effect, Metric, Option, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import type * as Token from "../../access/Token.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { AgentIdentity } from "../../domain/AgentIdentity.ts"
import type { Workspace } from "../../domain/Workspace.ts"
import { connectedAgents } from "../AgentMetrics.ts"
import type { ApiVersion } from "../ApiVersion.ts"
import { annotated } from "../internal/annotated.ts"
import * as CachedWorkspace from "./CachedWorkspace.ts"
import { ManifestStore } from "../ports/ManifestStore.ts"
import type { DeclaredKeys } from "../../domain/MetadataReport.ts"
import type { Notifications } from "../ports/Notifications.ts"
import * as ReceiptTime from "./ReceiptTime.ts"
import type { StallDetector } from "../../platform/StallDetector.ts"
import * as ResourceMonitors from "./ResourceMonitors.ts"
import type { ResourceMonitorStore } from "../ports/ResourceMonitorStore.ts"
import { WorkspaceStore } from "../../access/WorkspaceStore.ts"
import { StoreError } from "../../domain/StoreError.ts"

export class AgentSession extends Context.Service<
  AgentSession,
  {
    readonly identity: AgentIdentity
    readonly apiVersion: ApiVersion
    /** The token that the agent connected with. */
    readonly token: Token.Token
    /** The workspace as it was when a call last read it. */
    readonly cachedWorkspace: CachedWorkspace.CachedWorkspace
    /** The times of receipt of what the agent sends. */
    readonly receiptTime: ReceiptTime.ReceiptTime
    /** The keys that the agent may report, as they were when it connected. */
    readonly declaredKeys: DeclaredKeys
    /** The monitors of the agent's memory and volumes. */
    readonly monitors: ResourceMonitors.ResourceMonitors
    /** The cached workspace or, if there is none, the workspace that the agent belongs to. */
    readonly workspace: Effect.Effect<Workspace, StoreError>
  }
>()("metadata-batcher/agentapi/session/AgentSession") {}

/** The properties of a connection that are known before its session opens. */
export interface Introduction {
  readonly identity: AgentIdentity
  readonly apiVersion: ApiVersion
  readonly token: Token.Token
}

/** The services that a session needs to open. */
export type Services = StallDetector | WorkspaceStore | ManifestStore | ResourceMonitorStore | Notifications

/**
 * Opens the session of a connection until the scope closes; `roundTrip` pings the agent. Fails if the keys or the
 * resource monitors of the agent cannot be read.
 */
export const open = Effect.fnUntraced(
  function* (
    introduction: Introduction,
    roundTrip: Effect.Effect<void>
  ): Effect.fn.Return<AgentSession["Service"], StoreError, Services | Scope.Scope> {
    const { identity } = introduction
    const store = yield* WorkspaceStore
    yield* LeanScope.acquireRelease(Effect.andThen(Effect.logDebug("agent connected"), count(1)), () =>
      Effect.andThen(count(-1), annotated(identity)(Effect.logDebug("agent disconnected")))
    )
    const cachedWorkspace = yield* CachedWorkspace.make(identity)
    const workspace = Effect.flatMap(cachedWorkspace.get, (cached) =>
      Option.isSome(cached) ? Effect.succeed(cached.value) : lookup(store, identity.agentId)
    )
    const receiptTime = yield* ReceiptTime.make(roundTrip)
    const manifests = yield* ManifestStore
    const { declaredKeys, monitors } = yield* Effect.all(
      {
        declaredKeys: manifests.declaredKeys(identity.agentId),
        monitors: ResourceMonitors.load(identity.agentId, workspace)
      },
      { concurrency: 2 }
    )
    return AgentSession.of({ ...introduction, cachedWorkspace, declaredKeys, monitors, receiptTime, workspace })
  },
  (self, { identity }) => annotated(identity)(self)
)

/** Returns the session of a single request: it has no connection, and monitors nothing. */
export const ofRequest = (
  introduction: Introduction,
  declaredKeys: DeclaredKeys = new Set()
): AgentSession["Service"] => {
  const { workspace } = introduction.identity
  return AgentSession.of({
    ...introduction,
    cachedWorkspace: { get: Effect.succeedSome(workspace) },
    declaredKeys,
    monitors: {
      configuration: Effect.die("a request has no monitors"),
      push: () => Effect.die("a request has no monitors")
    },
    // a request has just arrived
    receiptTime: { now: DateTime.now, fence: Effect.void },
    workspace: Effect.succeed(workspace)
  })
}

const lookup = (store: WorkspaceStore["Service"], agentId: AgentId) =>
  Effect.flatMap(store.workspaceOf(agentId), Effect.fromOption).pipe(
    Effect.mapError(
      (cause) =>
        new StoreError({
          operation: `find the workspace of agent ${agentId}`,
          reason: cause._tag === "StoreError" ? cause.reason : "unavailable",
          cause
        })
    )
  )

const count = (change: number) => Metric.modify(connectedAgents, change)
