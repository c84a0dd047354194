/** The settings of how long rows are kept, with the defaults of the original where it has one. */
import type { Duration } from "effect"
import * as Value from "../domain/SettingValue.ts"
import { required } from "../domain/SettingVariable.ts"

const retention = (name: string, value: string, what: string) =>
  required({
    name: `RETENTION_${name}`,
    default: value,
    value: Value.retention,
    description: `How long ${what}; 0 keeps all.`
  })

const retentions = {
  retentionLogs: retention("LOGS", "7 days", "lines that agents log are kept"),
  retentionStats: retention("STATS", "1 day", "statistics of agents, apps and boundaries are kept"),
  retentionConnections: retention("CONNECTIONS", "90 days", "the beginning and end of a user session are kept"),
  retentionAppStatuses: retention("APP_STATUSES", "30 days", "statuses of apps are kept; the latest of an app stays"),
  retentionScriptTimings: retention("SCRIPT_TIMINGS", "30 days", "the times and exit codes of scripts are kept"),
  retentionNotifications: retention("NOTIFICATIONS", "7 days", "messages to users that nothing has sent are kept"),
  retentionHistory: retention("HISTORY", "1 day", "points of the plots are kept, of which a day is shown"),
  retentionTokens: retention("TOKENS", "7 days", "tokens are kept that have expired"),
  retentionDeleted: retention("DELETED", "7 days", "deleted users, workspaces and agents are kept")
}

export const variables = {
  retentionInterval: required({
    name: "RETENTION_INTERVAL",
    default: "1 hour",
    value: Value.duration,
    description: "The time from one deletion of old rows to the next."
  }),
  ...retentions
}

/** The retentions of all kinds of rows; an infinite one keeps every row. */
export type Retentions = { readonly [Name in keyof typeof retentions]: Duration.Duration }
