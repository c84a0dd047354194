/**
 * Tells an owner's other programs that something about a workspace has changed.
 *
 * Events go to the channel of the user who owned the workspace when the agent connected.
 */
import { type Effect, Schema } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { channel, type Kind, WorkspaceEvent } from "../domain/WorkspaceEvent.ts"
import { PubSub, type PubSubError } from "./PubSub.ts"
import { AgentSession } from "../agentapi/session/AgentSession.ts"

export { channel, type Kind } from "../domain/WorkspaceEvent.ts"

export const make = PubSub.useSync((pubsub) => {
  /** Announces a change of an agent to the owner of a workspace. */
  const publishOf = (
    workspace: Pick<Workspace, "id" | "ownerId">,
    agentId: AgentId,
    kind: Kind
  ): Effect.Effect<void, PubSubError> =>
    pubsub.publish(channel(workspace.ownerId), encode({ kind, workspace_id: workspace.id, agent_id: agentId }))

  return {
    publishOf,
    /** Announces a change of the session's agent. */
    publish: (kind: Kind): Effect.Effect<void, PubSubError, AgentSession> =>
      AgentSession.use(({ identity: { agentId, workspace } }) => publishOf(workspace, agentId, kind))
  }
})

const encode = Schema.encodeSync(WorkspaceEvent)
