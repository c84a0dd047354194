/**
 * One connection of one agent: an actor that lives from its upgrade to its end.
 *
 * Who the agent is was settled when it connected and stays so; what the session holds is released, in reverse order,
 * when the connection ends.
 */
import { Context, Effect, Metric, Option, type Scope } from "effect"
import type * as Token from "../access/Token.ts"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { AgentStoreError } from "./AgentError.ts"
import { connectedAgents } from "./AgentMetrics.ts"
import type { ApiVersion } from "./ApiVersion.ts"
import * as CachedWorkspace from "./CachedWorkspace.ts"
import { WorkspaceStore } from "./WorkspaceStore.ts"

export class AgentSession extends Context.Service<
  AgentSession,
  {
    readonly identity: AgentIdentity
    readonly apiVersion: ApiVersion
    /** The token that the agent has shown. */
    readonly token: Token.Token
    /** The workspace as it is now, as far as the session knows. */
    readonly cachedWorkspace: CachedWorkspace.CachedWorkspace
    /** The workspace: the cached one, or the one that the agent is found to belong to. */
    readonly workspace: Effect.Effect<Workspace, AgentStoreError>
  }
>()("metadata-batcher/agentapi/AgentSession") {}

/** How an agent has introduced itself. */
export interface Introduction {
  readonly identity: AgentIdentity
  readonly apiVersion: ApiVersion
  readonly token: Token.Token
}

/** Opens the session of a connection; it ends with the scope. */
export const open = Effect.fnUntraced(
  function* (
    introduction: Introduction
  ): Effect.fn.Return<AgentSession["Service"], never, WorkspaceStore | Scope.Scope> {
    const { identity } = introduction
    const store = yield* WorkspaceStore
    yield* Effect.acquireRelease(Effect.andThen(Effect.logDebug("an agent has connected"), count(1)), () =>
      Effect.andThen(count(-1), Effect.logDebug("an agent has left"))
    )
    const cachedWorkspace = yield* CachedWorkspace.make(identity.workspace)
    const lookup = Effect.flatMap(store.workspaceOf(identity.agentId), Effect.fromOption).pipe(
      Effect.mapError(
        (cause) =>
          new AgentStoreError({
            operation: `find the workspace of agent ${identity.agentId}`,
            reason: cause._tag === "AgentStoreError" ? cause.reason : "unavailable",
            cause
          })
      )
    )
    return AgentSession.of({
      ...introduction,
      cachedWorkspace,
      workspace: Effect.flatMap(cachedWorkspace.get, Option.match({ onNone: () => lookup, onSome: Effect.succeed }))
    })
  },
  (self, { identity: { agentId, workspace } }) => Effect.annotateLogs(self, { agentId, workspaceId: workspace.id })
)

const count = (change: number) => Metric.modify(connectedAgents, change)
