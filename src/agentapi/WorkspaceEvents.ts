/**
 * Tells an owner's other programs that something about a workspace has changed.
 *
 * Events go to the channel of the user who owned the workspace when the agent connected.
 */
import { type Effect, Schema } from "effect"
import { channel, type Kind, WorkspaceEvent } from "../domain/WorkspaceEvent.ts"
import { PubSub, type PubSubError } from "../pubsub/PubSub.ts"
import { AgentSession } from "./AgentSession.ts"

export { channel, type Kind } from "../domain/WorkspaceEvent.ts"

export const make = PubSub.useSync((pubsub) => ({
  /** Announces a change of the session's agent. */
  publish: (kind: Kind): Effect.Effect<void, PubSubError, AgentSession> =>
    AgentSession.use(({ identity: { agentId, workspace } }) =>
      pubsub.publish(channel(workspace.ownerId), encode({ kind, workspace_id: workspace.id, agent_id: agentId }))
    )
}))

const encode = Schema.encodeSync(WorkspaceEvent)
