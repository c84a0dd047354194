/**
 * One connection of one agent: an actor that lives from its upgrade to its end.
 *
 * Who the agent is was settled when it connected and stays so; what the session holds is released, in reverse order,
 * when the connection ends.
 */
import { Context, Effect, Metric, type Scope } from "effect"
import type { AgentIdentity } from "../domain/AgentIdentity.ts"

export class AgentSession extends Context.Service<
  AgentSession,
  {
    readonly identity: AgentIdentity
  }
>()("metadata-batcher/agentapi/AgentSession") {}

/** Agents connected to this replica. */
export const connectedAgents = Metric.gauge("coderd_agentapi_connected_agents", {
  description: "Agents that are connected to this replica."
})

/** Opens the session of a connection; it ends with the scope. */
export const open = (identity: AgentIdentity): Effect.Effect<AgentSession["Service"], never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.andThen(Effect.logDebug("an agent has connected"), Effect.as(count(1), AgentSession.of({ identity }))),
    () => Effect.andThen(count(-1), Effect.logDebug("an agent has left"))
  ).pipe(Effect.annotateLogs({ agentId: identity.agentId, workspaceId: identity.workspaceId }))

const count = (change: number) => Metric.modify(connectedAgents, change)
