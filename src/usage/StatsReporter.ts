/**
 * Handles a report of statistics, in this order:
 *
 * 1. Its counters go into the next batch.
 * 2. Its metrics are shown, with the labels of the agent.
 * 3. A report without activity ends here. Connections of an agent are activity, and sessions of a program of a user.
 * 4. The deadline of the workspace is moved.
 * 5. The workspace counts as used.
 * 6. The new statistics are announced to the owner, or a warning is logged after two seconds. With `announceInterval`
 *    those of several agents are announced together.
 *
 * A report never fails: each step logs and counts its errors. While the database is away a report takes at most four
 * seconds, which is less than agents wait.
 */
import { Context, type DateTime, Duration, Effect, Layer } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import type { PubSub } from "../pubsub/PubSub.ts"
import { UsageTracker } from "./UsageTracker.ts"
import { ActivityBump, bumpTimeout } from "./ActivityBump.ts"
import { type AgentMetric, type StatsCounters, hasSessions } from "./AgentStats.ts"
import { ForwardedMetrics } from "./ForwardedMetrics.ts"
import { StatsBatcher } from "./StatsBatcher.ts"
import { type AppStats, StatsStore } from "./StatsStore.ts"
import * as WorkspaceEvents from "../pubsub/WorkspaceEvents.ts"
import type { StoreError } from "../domain/StoreError.ts"

export interface Options {
  /** How long announcements are collected after the last one, at most a second. Default 0: each is made at once. */
  readonly announceInterval?: Duration.Input | undefined
}

export interface Report {
  readonly at: DateTime.Utc
  readonly workspace: Workspace
  readonly agentId: AgentId
  readonly figures: StatsCounters
  /** Whether a program of a user reports it, and not the agent. */
  readonly usage: boolean
  /** The name of the agent, and the metrics that `/metrics` shows for it. */
  readonly metrics?: { readonly agentName: string; readonly all: ReadonlyArray<AgentMetric> } | undefined
}

/** Half of the time that a report waits for its announcement. */
const maxAnnounceInterval = Duration.seconds(1)

export class StatsReporter extends Context.Service<
  StatsReporter,
  {
    readonly report: (report: Report) => Effect.Effect<void>
    /** Writes the use of apps, and `at` as the last use of their workspaces, all or nothing. */
    readonly reportApps: (stats: ReadonlyArray<AppStats>, at: DateTime.Utc) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/usage/StatsReporter") {}

export const make = Effect.fnUntraced(function* ({ announceInterval = 0 }: Options = {}) {
  const batcher = yield* StatsBatcher
  const forwarded = yield* ForwardedMetrics
  const activity = yield* ActivityBump
  const usageTracker = yield* UsageTracker
  const interval = Duration.min(Duration.fromInputUnsafe(announceInterval), maxAnnounceInterval)
  const publish = yield* Duration.isZero(interval) ? WorkspaceEvents.make : WorkspaceEvents.makeCollected(interval)
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
      Effect.timeout(bumpTimeout),
      Effect.catch((error) => Effect.logWarning("new statistics not announced", error)),
      Effect.annotateLogs({ agentId, workspaceId: workspace.id })
    )
  })

  return StatsReporter.of({
    report,
    reportApps: (stats, at) => (stats.length === 0 ? Effect.void : store.insertApps(stats, at))
  })
})

export const layer = (
  options?: Options
): Layer.Layer<
  StatsReporter,
  never,
  StatsBatcher | ForwardedMetrics | ActivityBump | UsageTracker | PubSub | StatsStore
> => Layer.effect(StatsReporter, make(options))
