/**
 * Announces to the owner's programs that something about a workspace has changed.
 *
 * Events go to the channel of the user who owned the workspace when the agent connected.
 */
import { type Effect, Schema } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { channel, type Kind, WorkspaceEvent } from "../domain/WorkspaceEvent.ts"
import { PubSub, type PubSubError } from "./PubSub.ts"

/** Publishes a change of an agent to the owner of its workspace. */
export const make = PubSub.useSync(
  (pubsub) =>
    (workspace: Pick<Workspace, "id" | "ownerId">, agentId: AgentId, kind: Kind): Effect.Effect<void, PubSubError> =>
      pubsub.publish(channel(workspace.ownerId), encode({ kind, workspace_id: workspace.id, agent_id: agentId }))
)

const encode = Schema.encodeSync(WorkspaceEvent)
