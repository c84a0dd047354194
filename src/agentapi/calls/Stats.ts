/**
 * `UpdateStats`: an agent reports statistics of its connections, and gets the interval of its reports.
 *
 * - The call always returns the report interval, in seconds. A request without statistics asks for the interval alone.
 * - Reports get the time of the service, and are passed to the {@link StatsReporter}.
 * - No query is made while the workspace is cached; otherwise the workspace is looked up by its agent.
 * - If the programs of users report sessions themselves, the sessions in agent reports are not counted.
 */
import { DateTime, Duration, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { AgentStats, withoutSessions } from "../../usage/AgentStats.ts"
import { StatsReporter } from "../../usage/StatsReporter.ts"
import { StatsOptions } from "../../usage/StatsOptions.ts"

export const UpdateStatsRequest = Schema.Struct({ stats: Schema.optionalKey(AgentStats) })
export type UpdateStatsRequest = typeof UpdateStatsRequest.Type

export const UpdateStats = Rpc.make("UpdateStats", {
  payload: UpdateStatsRequest,
  /** In seconds. */
  success: Schema.Struct({ report_interval: Schema.Finite }),
  error: Unavailable
})

export const make = Effect.gen(function* () {
  const reporter = yield* StatsReporter
  const { reportInterval, workspaceUsage } = yield* StatsOptions
  const answer = { report_interval: Duration.toSeconds(reportInterval) }

  const updateStats = Effect.fnUntraced(
    function* ({ stats }: UpdateStatsRequest) {
      if (stats === undefined) return answer
      const session = yield* AgentSession
      const { metrics, ...figures } = stats
      yield* reporter.report({
        at: yield* DateTime.now,
        workspace: yield* session.workspace,
        agentId: session.identity.agentId,
        figures: workspaceUsage ? withoutSessions(figures) : figures,
        usage: false,
        metrics: { agentName: session.identity.agentName, all: metrics }
      })
      return answer
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { UpdateStats: updateStats }
})
