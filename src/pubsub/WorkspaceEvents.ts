/**
 * Announces to the owner's programs that something about a workspace has changed.
 *
 * Events go to the channel of the user who owned the workspace when the agent connected.
 */
import { type Duration, Effect, Schema } from "effect"
import * as RequestCoalescer from "../batcher/RequestCoalescer.ts"
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

/**
 * Publishes as {@link make} does, but together what comes within an interval after the last publication: each message that
 * Postgres gets by itself wakes all listening processes, whoever hears it.
 */
export const makeCollected = Effect.fnUntraced(function* (interval: Duration.Input) {
  const publish = yield* make
  const { request } = yield* RequestCoalescer.make({
    name: "WorkspaceEvents.publish",
    window: interval,
    maxSize: maxEvents,
    concurrency: 1,
    keyOf: ([{ id, ownerId }, agentId, kind]: Parameters<typeof publish>) => `${ownerId} ${id} ${agentId} ${kind}`,
    call: Effect.fnUntraced(function* (events) {
      const publications = events.map((event) =>
        Effect.map(Effect.exit(publish(...event)), (exit) => [event, exit] as const)
      )
      const exits = new Map(yield* Effect.all(publications, { concurrency: "unbounded" }))
      return (event) => exits.get(event)!
    })
  })
  return (...event: Parameters<typeof publish>) => Effect.flatten(request(event))
})

/** The most events that are published together. */
const maxEvents = 1_000

const encode = Schema.encodeSync(WorkspaceEvent)
