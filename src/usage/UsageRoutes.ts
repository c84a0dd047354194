/**
 * The handlers of {@link UsageApi}: usage that connections do not show, such as an open port.
 *
 * - The owner of a workspace and administrators may mark it as used. For others the workspace does not exist.
 * - The {@link UsageTracker} writes a mark with its next write.
 * - If programs of users report sessions, a named app counts as a session of its agent, as if the agent had reported one.
 *   Otherwise the agent reports its sessions, and the name is ignored.
 */
import { DateTime, Effect, Layer, Option } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { AgentNotFound, directoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as AgentStats from "./AgentStats.ts"
import { StatsReporter } from "./StatsReporter.ts"
import { WorkspaceStore } from "../access/WorkspaceStore.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { mayRead } from "../domain/User.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { UsageTracker } from "./UsageTracker.ts"
import { UsageApi } from "./UsageApi.ts"
import { StatsOptions } from "./StatsOptions.ts"

const sessionOf = {
  vscode: "session_count_vscode",
  jetbrains: "session_count_jetbrains",
  "reconnecting-pty": "session_count_reconnecting_pty",
  ssh: "session_count_ssh"
} as const satisfies Readonly<Record<string, keyof AgentStats.StatsCounters>>

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
      const found = yield* Effect.catch(workspaces.workspace(id), directoryUnavailable).pipe(
        Effect.annotateLogs({ workspaceId: id })
      )
      if (Option.isSome(found) && mayRead(user, found.value.ownerId)) return found.value
      return yield* new WorkspaceNotFound({ message: `there is no workspace ${id}` })
    })

    const reportSession = Effect.fnUntraced(function* (
      workspace: Workspace,
      agentId: AgentId,
      app: keyof typeof sessionOf
    ) {
      const belongsTo = yield* Effect.catch(workspaces.workspaceOf(agentId), directoryUnavailable).pipe(
        Effect.annotateLogs({ agentId, workspaceId: workspace.id })
      )
      if (!Option.exists(belongsTo, ({ id }) => id === workspace.id)) {
        return yield* new AgentNotFound({ message: `there is no agent ${agentId} in workspace ${workspace.id}` })
      }
      yield* reporter.report({
        at: yield* DateTime.now,
        workspace,
        agentId,
        figures: { ...AgentStats.zeroCounters, connection_count: 1, [sessionOf[app]]: 1 },
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
  Layer.provide([Authentication.layerReader, layerRequestValidation])
)
