/**
 * Deletes rows that are older than their retention.
 *
 * - A pass runs at the start and then at an interval. It deletes batches of at most {@link batchSize} rows until no old row is
 *   left, so that no statement holds locks for long.
 * - One replica at a time deletes. A replica that finds another one at work leaves the pass to it.
 * - A failed pass is logged, counted and made up for an hour later: the other kinds of rows are purged all the same.
 */
import { Context, DateTime, Duration, Effect, Metric, Option, Record, Schedule } from "effect"
import { byLabel, counter, fromZero } from "../domain/Counters.ts"
import type { StoreError } from "../domain/StoreError.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import type { Retentions } from "./RetentionVariables.ts"

/** The tables that are purged, each with the setting of its retention. */
export const kinds = {
  workspace_agent_logs: "retentionLogs",
  workspace_agent_stats: "retentionStats",
  workspace_app_stats: "retentionStats",
  boundary_usage_stats: "retentionStats",
  connection_logs: "retentionConnections",
  workspace_app_statuses: "retentionAppStatuses",
  workspace_agent_script_timings: "retentionScriptTimings",
  notification_messages: "retentionNotifications",
  replica_points: "retentionHistory",
  api_tokens: "retentionTokens",
  workspace_agents: "retentionDeleted",
  workspaces: "retentionDeleted",
  users: "retentionDeleted"
} as const satisfies Readonly<Record<string, keyof Retentions>>

export type Kind = keyof typeof kinds

const kindNames = Record.keys(kinds)

/** The most rows that one statement deletes; fewer of a kind whose rows take many others with them. */
export const batchSize = (kind: Kind): number => (kinds[kind] === "retentionDeleted" ? 50 : 5_000)

export class RetentionStore extends Context.Service<
  RetentionStore,
  {
    /**
     * Deletes at most `limit` rows of a kind that are older than `before`, and returns their number; none while another
     * replica deletes.
     */
    readonly purge: (
      kind: Kind,
      before: DateTime.Utc,
      limit: number
    ) => Effect.Effect<Option.Option<number>, StoreError>
  }
>()("metadata-batcher/operations/RetentionStore") {}

const purgedRows = byLabel(
  counter(
    "coderd_dbpurge_records_purged_total",
    "Rows that were deleted because they were older than their retention."
  ),
  "record_type",
  kindNames
)

const passSeconds = byLabel(
  Metric.histogram("coderd_dbpurge_iteration_duration_seconds", {
    description: "Duration of a pass that deletes old rows, by whether all of it succeeded.",
    boundaries: [1, 5, 10, 30, 60, 300, 600]
  }),
  "success",
  ["true", "false"]
)

/** Deletes the old rows of a kind. Returns false if another replica deletes. */
const purgeKind = Effect.fnUntraced(function* (kind: Kind, retention: Duration.Duration) {
  const store = yield* RetentionStore
  const before = DateTime.subtractDuration(yield* DateTime.now, retention)
  const limit = batchSize(kind)
  let deleted = limit
  let total = 0
  while (deleted === limit) {
    const batch = yield* store.purge(kind, before, limit)
    if (Option.isNone(batch)) return false
    deleted = batch.value
    total += deleted
    yield* Metric.update(purgedRows[kind], deleted)
  }
  if (total > 0) yield* Effect.annotateLogs(Effect.logInfo("old rows deleted"), { table: kind, rows: total })
  return true
})

/** One pass over all kinds. */
export const pass = Effect.fn("Retention.pass")(function* (retentions: Retentions) {
  const started = yield* MonotonicClock.millis
  let success = true
  for (const kind of kindNames) {
    const retention = retentions[kinds[kind]]
    if (!Duration.isFinite(retention)) continue
    const isOurs = yield* purgeKind(kind, retention).pipe(
      Effect.catchCause((cause) => {
        success = false
        return Effect.as(Effect.annotateLogs(Effect.logWarning("old rows not deleted", cause), { table: kind }), true)
      })
    )
    if (!isOurs) return yield* Effect.logDebug("another replica deletes old rows")
  }
  const seconds = ((yield* MonotonicClock.millis) - started) / 1_000
  yield* Metric.update(passSeconds[success ? "true" : "false"], seconds)
})

/** Registers all metrics at zero, so that the first increase is visible. */
const initialize = Effect.andThen(
  fromZero(Object.values(purgedRows)),
  Effect.forEach(Object.values(passSeconds), Metric.value, { discard: true })
)

/** Purges at the start and then at the interval, for ever. */
export const run = (
  settings: Retentions & { readonly retentionInterval: Duration.Duration }
): Effect.Effect<never, never, RetentionStore> =>
  initialize.pipe(
    Effect.andThen(Effect.repeat(pass(settings), Schedule.spaced(settings.retentionInterval))),
    Effect.andThen(Effect.never)
  )
