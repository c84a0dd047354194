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

/** Publishes as {@link make} does. A failure is a warning, because the change itself is written. */
export const makeOrWarn = Effect.map(
  make,
  (publish) => (kind: Kind) =>
    Effect.ignore(publish(kind), { log: "Warn", message: "change of an agent cannot be announced" })
)
