/**
 * One connection of one agent: an actor that lives from its upgrade to its end.
 *
 * Who the agent is was settled when it connected and stays so; what the session holds is released, in reverse order,
 * when the connection ends.
 */
import { Context, Effect, Metric, Option, type Scope } from "effect"
import type * as Token from "../../access/Token.ts"
import type { AgentIdentity } from "../../domain/AgentIdentity.ts"
import type { Workspace } from "../../domain/Workspace.ts"
import { connectedAgents } from "../AgentMetrics.ts"
import type { ApiVersion } from "../ApiVersion.ts"
import * as CachedWorkspace from "./CachedWorkspace.ts"
import type { Notifications } from "../ports/Notifications.ts"
import * as ResourceMonitors from "./ResourceMonitors.ts"
import type { MonitorStore } from "../ports/MonitorStore.ts"
import { WorkspaceStore } from "../../access/WorkspaceStore.ts"
import { StoreError } from "../../domain/StoreError.ts"

export class AgentSession extends Context.Service<
  AgentSession,
  {
    readonly identity: AgentIdentity
    readonly apiVersion: ApiVersion
    /** The token that the agent has shown. */
    readonly token: Token.Token
    /** The workspace as it is now, as far as the session knows. */
    readonly cachedWorkspace: CachedWorkspace.CachedWorkspace
    /** What watches its memory and its volumes. */
    readonly monitors: ResourceMonitors.ResourceMonitors
    /** The workspace: the cached one, or the one that the agent is found to belong to. */
    readonly workspace: Effect.Effect<Workspace, StoreError>
  }
>()("metadata-batcher/agentapi/session/AgentSession") {}

/** How an agent has introduced itself. */
export interface Introduction {
  readonly identity: AgentIdentity
  readonly apiVersion: ApiVersion
  readonly token: Token.Token
}

/** What a session is opened with. */
export type Services = WorkspaceStore | MonitorStore | Notifications

/** Opens the session of a connection; it ends with the scope. Without its resource monitors there is no session. */
export const open = Effect.fnUntraced(
  function* (
    introduction: Introduction
  ): Effect.fn.Return<AgentSession["Service"], StoreError, Services | Scope.Scope> {
    const { identity } = introduction
    const store = yield* WorkspaceStore
    yield* Effect.acquireRelease(Effect.andThen(Effect.logDebug("an agent has connected"), count(1)), () =>
      Effect.andThen(count(-1), Effect.logDebug("an agent has left"))
    )
    const cachedWorkspace = yield* CachedWorkspace.make(identity.workspace)
    const lookup = Effect.flatMap(store.workspaceOf(identity.agentId), Effect.fromOption).pipe(
      Effect.mapError(
        (cause) =>
          new StoreError({
            operation: `find the workspace of agent ${identity.agentId}`,
            reason: cause._tag === "StoreError" ? cause.reason : "unavailable",
            cause
          })
      )
    )
    const workspace = Effect.flatMap(
      cachedWorkspace.get,
      Option.match({ onNone: () => lookup, onSome: Effect.succeed })
    )
    const monitors = yield* ResourceMonitors.load(identity.agentId, workspace)
    return AgentSession.of({ ...introduction, cachedWorkspace, monitors, workspace })
  },
  (self, { identity: { agentId, workspace } }) => Effect.annotateLogs(self, { agentId, workspaceId: workspace.id })
)

const count = (change: number) => Metric.modify(connectedAgents, change)
