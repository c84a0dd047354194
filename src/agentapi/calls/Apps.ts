/**
 * `BatchUpdateAppHealths` and `UpdateAppStatus`: an agent says how its apps are, and what they are doing.
 *
 * - Healths are taken as a whole or not at all. Those that have changed are one write and one announcement; when none has,
 *   nothing is written. Of two for the same app the last counts.
 * - Every status is kept, with the time of receipt, and announced. Its message is made fit to be shown as it is.
 * - The owner of a task is notified when its app comes to do something else: not while its agent starts, nor when it first
 *   gets to work. The same message is sent once a minute. One that cannot be enqueued is a warning.
 * - An app that gets to work, or that has worked, is activity of its workspace.
 */
import { DateTime, Effect, Option, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as DisplayText from "../../domain/DisplayText.ts"
import { AppId } from "../../domain/Ids.ts"
import { OptionalText } from "../../domain/PostgresText.ts"
import * as Utf8 from "../../domain/Utf8.ts"
import type { Workspace } from "../../domain/Workspace.ts"
import { ActivityBump } from "../../usage/ActivityBump.ts"
import { InvalidRequest, unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import {
  type AddedStatus,
  type AppHealth,
  type AppState,
  appStates,
  AppStore,
  type HealthOfApp,
  healths
} from "../ports/AppStore.ts"
import { list, upperCaseEnum } from "../../domain/Fields.ts"
import { type MessageTemplate, Notifications } from "../ports/Notifications.ts"
import * as SessionEvents from "../session/SessionEvents.ts"

export const BatchUpdateAppHealthsRequest = Schema.Struct({
  updates: list(Schema.Struct({ id: AppId, health: upperCaseEnum(...healths) }))
})
export type BatchUpdateAppHealthsRequest = typeof BatchUpdateAppHealthsRequest.Type

export const BatchUpdateAppHealths = Rpc.make("BatchUpdateAppHealths", {
  payload: BatchUpdateAppHealthsRequest,
  success: Schema.Struct({}),
  error: Schema.Union([InvalidRequest, Unavailable])
})

const maxMessageBytes = 160

export const UpdateAppStatusRequest = Schema.Struct({
  slug: OptionalText,
  state: upperCaseEnum(...appStates),
  message: OptionalText.check(
    Schema.makeFilter((message: string) => Utf8.byteLength(message) <= maxMessageBytes, {
      expected: `at most ${maxMessageBytes} bytes`
    })
  ),
  uri: OptionalText
})
export type UpdateAppStatusRequest = typeof UpdateAppStatusRequest.Type

export const UpdateAppStatus = Rpc.make("UpdateAppStatus", {
  payload: UpdateAppStatusRequest,
  success: Schema.Struct({}),
  error: Schema.Union([InvalidRequest, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* AppStore
  const publish = yield* SessionEvents.make
  const notifications = yield* Notifications
  const { bumpFor } = yield* ActivityBump

  const batchUpdateAppHealths = Effect.fnUntraced(
    function* ({ updates }: BatchUpdateAppHealthsRequest) {
      if (updates.length === 0) return {}
      const { identity } = yield* AgentSession
      const changed = yield* changes(updates, yield* store.healths(identity.agentId))
      if (changed.length === 0) return {}
      yield* store.setHealths(identity.agentId, changed)
      yield* publish("app_health")
      return {}
    },
    Effect.catchTag(["StoreError", "PubSubError"], unavailable)
  )

  /** Tells the owner of a task what it has come to. */
  const notify = Effect.fnUntraced(
    function* (workspace: Workspace, appId: AppId, task: string, state: AppState) {
      yield* notifications.enqueue({
        userId: workspace.ownerId,
        template: templates[state],
        labels: { task, workspace: workspace.name },
        data: {},
        targets: [workspace.id, workspace.ownerId, workspace.organizationId, appId],
        createdBy: "agent-api-app-status",
        dedupeKey: DateTime.formatIso(DateTime.startOf(yield* DateTime.now, "minute"))
      })
    },
    Effect.catch((error) => Effect.logWarning("the owner of a task cannot be notified", error.cause))
  )

  const updateAppStatus = Effect.fnUntraced(
    function* ({ message, slug, state, uri }: UpdateAppStatusRequest) {
      const session = yield* AgentSession
      const { agentId } = session.identity
      const workspace = yield* session.workspace
      const added = yield* store.addStatus(agentId, workspace.id, {
        slug,
        state,
        message: DisplayText.clean(message),
        uri: uri === "" ? null : uri,
        createdAt: yield* session.receiptTime.now
      })
      if (Option.isNone(added)) {
        return yield* new InvalidRequest({ field: "slug", problem: "the agent has no app of this slug" })
      }
      yield* publish("agt_app_status_update")
      const { appId, previous, task } = added.value
      if (task !== null && isNews(added.value, state)) yield* notify(workspace, appId, task.name, state)
      if (state === "working" || previous === "working") yield* bumpFor(workspace)
      return {}
    },
    Effect.catchTag(["StoreError", "PubSubError"], unavailable)
  )

  return { BatchUpdateAppHealths: batchUpdateAppHealths, UpdateAppStatus: updateAppStatus }
})

/** The healths that are not as they are stored, if all may be set. */
const changes = Effect.fnUntraced(function* (
  updates: ReadonlyArray<AppHealth>,
  apps: ReadonlyArray<HealthOfApp>
): Effect.fn.Return<ReadonlyArray<AppHealth>, InvalidRequest> {
  const known = new Map(apps.map((app) => [app.id, app]))
  const wanted = new Map<AppId, AppHealth>()
  for (const [index, update] of updates.entries()) {
    const app = known.get(update.id)
    const problem =
      app === undefined ? "the agent has no such app" : app.isChecked ? undefined : "the app has no health check"
    if (problem !== undefined) return yield* new InvalidRequest({ field: `updates[${index}].id`, problem })
    wanted.set(update.id, update)
  }
  return [...wanted.values()].filter(({ health, id }) => known.get(id)?.health !== health)
})

/** Whether a status of the app of a task is worth a message. */
const isNews = ({ isAgentReady, previous }: AddedStatus, state: AppState): boolean =>
  isAgentReady && previous !== state && !(previous === null && state === "working")

const templates: Readonly<Record<AppState, MessageTemplate>> = {
  working: "task_working",
  idle: "task_idle",
  complete: "task_completed",
  failure: "task_failed"
}
