/**
 * Tells an owner's other programs that something about a workspace has changed.
 *
 * Events go to the channel of the user who owned the workspace when the agent connected.
 */
import type { Effect } from "effect"
import { PubSub, type PubSubError } from "../pubsub/PubSub.ts"
import { AgentSession } from "./AgentSession.ts"
import type { AgentId, UserId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"

/** What has changed. */
export type Kind =
  | "stats_update"
  | "app_health"
  | "agt_lifecycle_update"
  | "agt_connection_update"
  | "agt_first_logs"
  | "agt_logs_overflow"
  | "agt_app_status_update"

export const channel = (ownerId: UserId): string => `workspace_owner:${ownerId}`

export const make = PubSub.useSync((pubsub) => {
  /** Announces a change of an agent to the owner of a workspace. */
  const publishOf = (
    workspace: Pick<Workspace, "id" | "ownerId">,
    agentId: AgentId,
    kind: Kind
  ): Effect.Effect<void, PubSubError> =>
    pubsub.publish(channel(workspace.ownerId), JSON.stringify({ kind, workspace_id: workspace.id, agent_id: agentId }))

  return {
    publishOf,
    /** Announces a change of the session's agent. */
    publish: (kind: Kind): Effect.Effect<void, PubSubError, AgentSession> =>
      AgentSession.use(({ identity: { agentId, workspace } }) => publishOf(workspace, agentId, kind))
  }
})
