/**
 * `BatchUpdateAppHealths` and `UpdateAppStatus`: an agent reports the health of its apps and the state of their work.
 *
 * - A call accepts all of its healths or none. It writes and announces the changed ones together, and writes nothing if
 *   none has changed. If an app is reported twice, the last health counts.
 * - Every status is stored with its time of receipt, and announced. Its message is cleaned so that it can be shown as
 *   it is.
 * - The owner of a task is notified when the state of its app changes, but not while the agent is starting, and not
 *   when the first state is `working`. The same message is sent at most once a minute.
 * - A notification that cannot be enqueued is a warning.
 * - A status that is `working`, or that follows `working`, counts as activity of the workspace.
 */
import { DateTime, Effect, Option, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as DisplayText from "../../domain/DisplayText.ts"
import { AppId } from "../../domain/Ids.ts"
import { OptionalText, optionalText } from "../../domain/PostgresText.ts"
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

/** The longest address, in characters. */
const maxUri = 2_048

export const UpdateAppStatusRequest = Schema.Struct({
  slug: OptionalText,
  state: upperCaseEnum(...appStates),
  message: OptionalText.check(
    Schema.makeFilter((message: string) => !Utf8.exceeds(message, maxMessageBytes), {
      expected: `at most ${maxMessageBytes} bytes`
    })
  ),
  uri: optionalText(maxUri)
})
export type UpdateAppStatusRequest = typeof UpdateAppStatusRequest.Type

export const UpdateAppStatus = Rpc.make("UpdateAppStatus", {
  payload: UpdateAppStatusRequest,
  success: Schema.Struct({}),
  error: Schema.Union([InvalidRequest, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* AppStore
  const publish = yield* SessionEvents.makeOrWarn
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
    Effect.catchTag("StoreError", unavailable)
  )

  /** Notifies the owner of a task of its new state. */
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
    Effect.catchTag("StoreError", unavailable)
  )

  return { BatchUpdateAppHealths: batchUpdateAppHealths, UpdateAppStatus: updateAppStatus }
})

/** Returns the healths that differ from the stored ones. Fails if any of them may not be set. */
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

/** Whether the owner of a task is notified of a status. */
const isNews = ({ isAgentReady, previous }: AddedStatus, state: AppState): boolean =>
  isAgentReady && previous !== state && !(previous === null && state === "working")

const templates: Readonly<Record<AppState, MessageTemplate>> = {
  working: "task_working",
  idle: "task_idle",
  complete: "task_completed",
  failure: "task_failed"
}
