/**
 * Usage that connections do not show, such as an open port: people's programs say it themselves.
 *
 * - A workspace is marked by its owner or by an administrator. To anyone else it does not exist.
 * - A mark is written with the next ones, by the {@link UsageTracker}.
 * - Where sessions are counted by people's programs, an app that is named counts as a session with its agent, as if the
 *   agent had reported one. Elsewhere the agent does that, and the name of the app says nothing new.
 */
import { DateTime, Effect, Layer, Option } from "effect"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import * as AgentStats from "./AgentStats.ts"
import { StatsReporter } from "./StatsReporter.ts"
import { WorkspaceStore } from "../access/WorkspaceStore.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { mayRead } from "../domain/User.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { UsageTracker } from "./UsageTracker.ts"
import { UsageApi } from "./UsageApi.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { StatsOptions } from "./StatsOptions.ts"

const sessionOf = {
  vscode: "session_count_vscode",
  jetbrains: "session_count_jetbrains",
  "reconnecting-pty": "session_count_reconnecting_pty",
  ssh: "session_count_ssh"
} as const satisfies Readonly<Record<string, keyof AgentStats.Figures>>

const handlers = HttpApiBuilder.group(
  UsageApi,
  "usage",
  Effect.fnUntraced(function* (handlers) {
    const workspaces = yield* WorkspaceStore
    const tracker = yield* UsageTracker
    const reporter = yield* StatsReporter
    const { workspaceUsage } = yield* StatsOptions

    const find = Effect.fnUntraced(function* (id: WorkspaceId) {
      const user = yield* Authentication.CurrentUser
      const found = yield* Effect.catch(workspaces.workspace(id), unavailable)
      if (Option.isSome(found) && mayRead(user, found.value.ownerId)) return found.value
      return yield* new WorkspaceNotFound({ message: `there is no workspace ${id}` })
    })

    const reportSession = Effect.fnUntraced(function* (
      workspace: Workspace,
      agentId: AgentId,
      app: keyof typeof sessionOf
    ) {
      const belongsTo = yield* Effect.catch(workspaces.workspaceOf(agentId), unavailable)
      if (!Option.exists(belongsTo, ({ id }) => id === workspace.id)) {
        return yield* new AgentNotFound({ message: `there is no agent ${agentId} in workspace ${workspace.id}` })
      }
      yield* reporter.report({
        at: yield* DateTime.now,
        workspace,
        agentId,
        figures: { ...AgentStats.none, connection_count: 1, [sessionOf[app]]: 1 },
        usage: true
      })
    })

    return handlers.handle(
      "mark",
      Effect.fnUntraced(function* ({ params, payload }) {
        const workspace = yield* find(params.workspace)
        yield* tracker.add(workspace.id)
        const { agent_id, app_name } = payload ?? {}
        if (!workspaceUsage || agent_id === undefined || app_name === undefined) return
        yield* reportSession(workspace, agent_id, app_name)
      })
    )
  })
)

export const layer = HttpApiBuilder.layer(UsageApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
)

const unavailable = (error: StoreError) =>
  Effect.andThen(
    Effect.logError(error.message, error.cause),
    Effect.fail(new DirectoryUnavailable({ message: `${error.message} now` }))
  )
