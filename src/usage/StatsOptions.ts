/** How agents report statistics, and whether the programs of people report sessions. */
import { Context, type Duration } from "effect"

export const StatsOptions = Context.Reference<{
  /** How often agents are to report. Default 30 seconds. */
  readonly reportInterval: Duration.Input
  /** Whether people's programs report sessions: the experiment workspace-usage. Default: they do not. */
  readonly workspaceUsage: boolean
}>("metadata-batcher/usage/StatsOptions", {
  defaultValue: () => ({ reportInterval: "30 seconds", workspaceUsage: false })
})
