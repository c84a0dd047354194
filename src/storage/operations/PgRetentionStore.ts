/**
 * Deletes old rows in Postgres.
 *
 * - A batch is one transaction under an advisory lock, which another replica does not wait for.
 * - A batch takes the oldest rows first, by the index over their time.
 * - An agent gets the room of its deleted log lines back.
 */
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { type Kind, RetentionStore } from "../../operations/Retention.ts"
import { storeOperation } from "../internal/storeOperation.ts"

export const layer: Layer.Layer<RetentionStore, never, SqlClient.SqlClient> = Layer.effect(
  RetentionStore,
  SqlClient.SqlClient.useSync((sql) => {
    const statements = makeStatements(sql)
    const lock = sql<{ isOurs: boolean }>`
      SELECT pg_try_advisory_xact_lock(hashtextextended('metadata-batcher: retention', 0)) AS "isOurs"`

    return RetentionStore.of({
      purge: Effect.fn("PgRetentionStore.purge")(
        function* (kind, before, limit) {
          const [locked] = yield* lock
          if (!locked!.isOurs) return Option.none()
          const [deleted] = yield* statements[kind](DateTime.toDateUtc(before), limit)
          return Option.some(deleted!.rows)
        },
        sql.withTransaction,
        storeOperation(sql, "background", "delete old rows", "1 minute")
      )
    })
  })
)

type Delete = (before: Date, limit: number) => Statement.Statement<{ readonly rows: number }>

const makeStatements = (sql: SqlClient.SqlClient): Readonly<Record<Kind, Delete>> => {
  /** Deletes the rows of a table that a query finds by their key. */
  const rowsOf =
    (table: string, key: "ctid" | "id", find: (before: Date, limit: number) => Statement.Fragment): Delete =>
    (before, limit) =>
      sql`
      WITH deleted AS (
        DELETE FROM ${sql(table)} WHERE ${sql(key)} = ANY (ARRAY(${find(before, limit)})) RETURNING 1
      )
      SELECT count(*)::int4 AS rows FROM deleted`

  /** Deletes the rows of a table whose time is over, by the order of its index. */
  const byTime = (table: string, time: string): Delete =>
    rowsOf(
      table,
      "ctid",
      (before, limit) => sql`
        SELECT ctid FROM ${sql(table)} WHERE ${sql(time)} < ${before} ORDER BY ${sql(time)} LIMIT ${limit}`
    )

  return {
    workspace_agent_stats: byTime("workspace_agent_stats", "created_at"),
    workspace_app_stats: byTime("workspace_app_stats", "session_ended_at"),
    boundary_usage_stats: byTime("boundary_usage_stats", "updated_at"),
    connection_logs: byTime("connection_logs", "connect_time"),
    workspace_agent_script_timings: byTime("workspace_agent_script_timings", "ended_at"),
    notification_messages: byTime("notification_messages", "created_at"),
    replica_points: byTime("replica_points", "at"),
    api_tokens: byTime("api_tokens", "expires_at"),

    // the rows of an agent go with it, those of its sub-agents too
    workspace_agents: rowsOf(
      "workspace_agents",
      "id",
      (before, limit) => sql`
        SELECT id FROM workspace_agents WHERE deleted_at < ${before}
        UNION ALL
        SELECT agent.id
        FROM workspaces AS workspace
        JOIN workspace_builds AS build ON build.workspace_id = workspace.id
        JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id
        WHERE workspace.deleted_at < ${before}
        LIMIT ${limit}`
    ),
    workspaces: byTime("workspaces", "deleted_at"),
    users: rowsOf(
      "users",
      "id",
      (before, limit) => sql`
        SELECT id FROM users
        WHERE deleted_at < ${before} AND NOT EXISTS (SELECT FROM workspaces WHERE owner_id = users.id)
        LIMIT ${limit}`
    ),

    workspace_agent_logs: (before, limit) => sql`
      WITH deleted AS (
        DELETE FROM workspace_agent_logs WHERE id = ANY (ARRAY(
          SELECT id FROM workspace_agent_logs WHERE created_at < ${before} ORDER BY created_at LIMIT ${limit}
        ))
        RETURNING agent_id, octet_length(output) AS length
      ), freed AS (
        SELECT agent_id, sum(length) AS length FROM deleted GROUP BY agent_id
      ), agent AS (
        SELECT id FROM workspace_agents WHERE id IN (SELECT agent_id FROM freed) ORDER BY id FOR NO KEY UPDATE
      ), counted AS (
        UPDATE workspace_agents AS counted
        SET logs_length = greatest(0, logs_length - freed.length), logs_overflowed = false
        FROM agent JOIN freed ON freed.agent_id = agent.id
        WHERE counted.id = agent.id
      )
      SELECT count(*)::int4 AS rows FROM deleted`,

    // the latest status of an app is what the app is doing, however old it is
    workspace_app_statuses: rowsOf(
      "workspace_app_statuses",
      "id",
      (before, limit) => sql`
        SELECT old.id FROM workspace_app_statuses AS old
        WHERE old.created_at < ${before} AND old.id <> (
          SELECT newest.id FROM workspace_app_statuses AS newest
          WHERE newest.app_id = old.app_id
          ORDER BY newest.created_at DESC
          LIMIT 1
        )
        ORDER BY old.created_at
        LIMIT ${limit}`
    )
  }
}
