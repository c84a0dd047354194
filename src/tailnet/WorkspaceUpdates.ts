/**
 * Follows the workspaces of a user and their agents.
 *
 * - The first update has all of them, each later one the differences. An update without a difference is not sent.
 * - Workspace events cause the reading; several that come while one reads cause one reading.
 * - A reading that fails is tried again with the next event, and after 30 s.
 */
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import type { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import * as WorkspaceEvent from "../domain/WorkspaceEvent.ts"
import { PubSub, type PubSubError } from "../pubsub/PubSub.ts"
import { type WorkspaceStatus, type WorkspaceTree, WorkspaceTreeStore } from "./WorkspaceTreeStore.ts"

interface WorkspaceState {
  readonly id: WorkspaceId
  readonly name: string
  readonly status: WorkspaceStatus
}

interface AgentState {
  readonly id: AgentId
  readonly name: string
  readonly workspaceId: WorkspaceId
}

export interface WorkspaceUpdate {
  readonly upsertedWorkspaces: ReadonlyArray<WorkspaceState>
  readonly upsertedAgents: ReadonlyArray<AgentState>
  readonly deletedWorkspaces: ReadonlyArray<WorkspaceState>
  readonly deletedAgents: ReadonlyArray<AgentState>
}

export class WorkspaceUpdates extends Context.Service<
  WorkspaceUpdates,
  { readonly follow: (ownerId: UserId) => Stream.Stream<WorkspaceUpdate, StoreError | PubSubError> }
>()("metadata-batcher/tailnet/WorkspaceUpdates") {}

/** The difference between two readings; `undefined` if there is none. */
export const difference = (
  before: ReadonlyArray<WorkspaceTree>,
  after: ReadonlyArray<WorkspaceTree>
): WorkspaceUpdate | undefined => {
  const [oldWorkspaces, newWorkspaces] = [workspacesOf(before), workspacesOf(after)]
  const [oldAgents, newAgents] = [agentsOf(before), agentsOf(after)]
  const update = {
    upsertedWorkspaces: changed(oldWorkspaces, newWorkspaces),
    upsertedAgents: changed(oldAgents, newAgents),
    deletedWorkspaces: [...oldWorkspaces.values()].filter(({ id }) => !newWorkspaces.has(id)),
    deletedAgents: [...oldAgents.values()].filter(({ id }) => !newAgents.has(id))
  }
  return Object.values(update).every((part) => part.length === 0) ? undefined : update
}

export const make = Effect.gen(function* () {
  const store = yield* WorkspaceTreeStore
  const pubsub = yield* PubSub

  const follow = (ownerId: UserId) =>
    Stream.suspend(() => {
      let last: ReadonlyArray<WorkspaceTree> | undefined
      const read = Effect.map(store.ofOwner(ownerId), (next) => {
        const update = last === undefined ? (difference([], next) ?? nothing) : difference(last, next)
        last = next
        return update
      })
      const events = Stream.merge(
        Stream.map(pubsub.subscribe(WorkspaceEvent.channel(ownerId)), () => undefined),
        // changes that nobody announces
        Stream.map(Stream.fromSchedule(Schedule.spaced("30 seconds")), () => undefined)
      )
      return events.pipe(
        Stream.buffer({ capacity: 1, strategy: "sliding" }),
        Stream.mapEffect(() =>
          Effect.catch(read, (error) =>
            last === undefined
              ? Effect.fail(error)
              : Effect.as(Effect.logWarning("workspaces cannot be read, the next event tries again", error), undefined)
          )
        ),
        Stream.filter((update) => update !== undefined)
      )
    })

  return WorkspaceUpdates.of({ follow })
})

export const layer: Layer.Layer<WorkspaceUpdates, never, WorkspaceTreeStore | PubSub> = Layer.effect(
  WorkspaceUpdates,
  make
)

// ----- internals -----

const nothing: WorkspaceUpdate = {
  upsertedWorkspaces: [],
  upsertedAgents: [],
  deletedWorkspaces: [],
  deletedAgents: []
}

const workspacesOf = (trees: ReadonlyArray<WorkspaceTree>): ReadonlyMap<string, WorkspaceState> =>
  new Map(trees.map(({ id, name, status }) => [id, { id, name, status }]))

const agentsOf = (trees: ReadonlyArray<WorkspaceTree>): ReadonlyMap<string, AgentState> =>
  new Map(trees.flatMap((tree) => tree.agents.map(({ id, name }) => [id, { id, name, workspaceId: tree.id }] as const)))

const changed = <A extends object>(before: ReadonlyMap<string, A>, after: ReadonlyMap<string, A>): ReadonlyArray<A> =>
  [...after].flatMap(([id, value]) => (JSON.stringify(before.get(id)) === JSON.stringify(value) ? [] : [value]))
