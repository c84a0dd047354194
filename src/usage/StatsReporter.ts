/**
 * What becomes of a report of statistics, in this order:
 *
 * 1. Its figures are kept for the next batch, whatever they say.
 * 2. The metrics that came with it are shown, with the labels of their agent.
 * 3. Unless it shows activity, that is all. An agent shows it with connections, a person's program with sessions.
 * 4. The deadline of the workspace is moved.
 * 5. The workspace counts as used.
 * 6. That there are new statistics is announced to the owner. When that fails, or takes longer than two seconds, there is a
 *    warning.
 *
 * A report never fails: what goes wrong on the way is logged and counted where it happens. While the database is away it
 * takes four seconds at most, which is less than agents wait for the answer.
 */
import { Context, type DateTime, Effect, Layer } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import type { PubSub } from "../pubsub/PubSub.ts"
import { UsageTracker } from "./UsageTracker.ts"
import { ActivityBump, patience } from "./ActivityBump.ts"
import { type AgentMetric, type Figures, hasSessions } from "./AgentStats.ts"
import { ForwardedMetrics } from "./ForwardedMetrics.ts"
import { StatsBatcher } from "./StatsBatcher.ts"
import { type AppStats, StatsStore } from "./StatsStore.ts"
import * as WorkspaceEvents from "../pubsub/WorkspaceEvents.ts"
import type { StoreError } from "../domain/StoreError.ts"

export interface Report {
  readonly at: DateTime.Utc
  readonly workspace: Workspace
  readonly agentId: AgentId
  readonly figures: Figures
  /** Whether a person's program reports it, not the agent. */
  readonly usage: boolean
  /** What the agent, of which this is the name, wants to be shown. */
  readonly metrics?: { readonly agentName: string; readonly all: ReadonlyArray<AgentMetric> } | undefined
}

export class StatsReporter extends Context.Service<
  StatsReporter,
  {
    readonly report: (report: Report) => Effect.Effect<void>
    /** Writes the use of apps at a time, and that time as the last use of each of their workspaces, all or nothing. */
    readonly reportApps: (stats: ReadonlyArray<AppStats>, at: DateTime.Utc) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/usage/StatsReporter") {}

export const make = Effect.gen(function* () {
  const batcher = yield* StatsBatcher
  const forwarded = yield* ForwardedMetrics
  const activity = yield* ActivityBump
  const usageTracker = yield* UsageTracker
  const publish = yield* WorkspaceEvents.make
  const store = yield* StatsStore

  const report = Effect.fn("StatsReporter.report")(function* ({
    agentId,
    at,
    figures,
    metrics,
    usage,
    workspace
  }: Report) {
    yield* batcher.add({
      at,
      userId: workspace.ownerId,
      workspaceId: workspace.id,
      templateId: workspace.templateId,
      agentId,
      figures,
      usage
    })
    if (metrics !== undefined) {
      const { ownerName: username, name, templateName: template } = workspace
      yield* forwarded.report({ username, workspace: name, agent: metrics.agentName, template }, metrics.all)
    }
    if (!(usage ? hasSessions(figures) : figures.connection_count > 0)) return
    yield* activity.bumpFor(workspace)
    yield* usageTracker.add(workspace.id)
    yield* publish(workspace, agentId, "stats_update").pipe(
      Effect.timeout(patience),
      Effect.catch((error) => Effect.logWarning("that there are new statistics could not be announced", error)),
      Effect.annotateLogs({ agentId, workspaceId: workspace.id })
    )
  })

  return StatsReporter.of({
    report,
    reportApps: (stats, at) => (stats.length === 0 ? Effect.void : store.insertApps(stats, at))
  })
})

export const layer: Layer.Layer<
  StatsReporter,
  never,
  StatsBatcher | ForwardedMetrics | ActivityBump | UsageTracker | PubSub | StatsStore
> = Layer.effect(StatsReporter, make)
