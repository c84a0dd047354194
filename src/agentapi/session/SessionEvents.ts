/** Publishes changes of a session's agent to the owner of its workspace. */
import { Effect } from "effect"
import type { Kind } from "../../domain/WorkspaceEvent.ts"
import type { PubSubError } from "../../pubsub/PubSub.ts"
import * as WorkspaceEvents from "../../pubsub/WorkspaceEvents.ts"
import { AgentSession } from "./AgentSession.ts"

export const make = Effect.map(
  WorkspaceEvents.make,
  (publish) =>
    (kind: Kind): Effect.Effect<void, PubSubError, AgentSession> =>
      AgentSession.use(({ identity: { agentId, workspace } }) => publish(workspace, agentId, kind))
)
