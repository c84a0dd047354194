/** How often agents report statistics, and whether programs of users report sessions. */
import { Context, type Duration } from "effect"

export const StatsOptions = Context.Reference<{
  /** The time from one report of an agent to the next. Default 30 seconds. */
  readonly reportInterval: Duration.Input
  /** Whether programs of users report sessions, as the experiment workspace-usage has it. Default: false. */
  readonly workspaceUsage: boolean
}>("metadata-batcher/usage/StatsOptions", {
  defaultValue: () => ({ reportInterval: "30 seconds", workspaceUsage: false })
})
