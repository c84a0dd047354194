/**
 * Stores statistics in Postgres.
 *
 * - A batch is one statement, whose text is the same for any number of rows.
 * - A batch locks workspaces in the order of their ids, so that replicas that write the same workspaces wait for each
 *   other.
 * - The last use of a workspace never moves backwards.
 */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { type AppStats, type StatsRow, StatsStore } from "../usage/StatsStore.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export const layer: Layer.Layer<StatsStore, never, SqlClient.SqlClient> = Layer.effect(
  StatsStore,
  SqlClient.SqlClient.useSync((sql) =>
    StatsStore.of({
      insert: (rows) =>
        sql`
          INSERT INTO workspace_agent_stats (${sql.literal(columns)})
          SELECT ${sql.literal(columns)}
          FROM json_populate_recordset(NULL::workspace_agent_stats, ${JSON.stringify(rows.map(toRecord))}::json)
          ON CONFLICT (id) DO NOTHING`.pipe(Effect.asVoid, storeOperation(sql, "background", "write statistics")),

      insertApps: (stats, at) =>
        sql`
          WITH reported AS (
            SELECT DISTINCT ON (user_id, agent_id, session_id) ${sql.literal(appColumns)}
            FROM json_populate_recordset(NULL::workspace_app_stats, ${JSON.stringify(stats.map(toAppRecord))}::json)
            ORDER BY user_id, agent_id, session_id, session_ended_at DESC
          ), used AS (
            SELECT id FROM workspaces
            WHERE id IN (SELECT workspace_id FROM reported) AND last_used_at < ${DateTime.toDateUtc(at)}
            ORDER BY id
            FOR UPDATE
          ), marked AS (
            UPDATE workspaces SET last_used_at = ${DateTime.toDateUtc(at)} WHERE id IN (SELECT id FROM used)
          )
          INSERT INTO workspace_app_stats AS stored (${sql.literal(appColumns)})
          SELECT * FROM reported
          ON CONFLICT (user_id, agent_id, session_id) DO UPDATE
            SET session_ended_at = excluded.session_ended_at, requests = excluded.requests
            WHERE stored.session_ended_at < excluded.session_ended_at`.pipe(
          Effect.asVoid,
          storeOperation(sql, "background", "write the use of apps")
        )
    })
  )
)

const columns = `
  id, created_at, user_id, workspace_id, template_id, agent_id, connections_by_proto, connection_count,
  connection_median_latency_ms, rx_packets, rx_bytes, tx_packets, tx_bytes, session_count_vscode,
  session_count_jetbrains, session_count_reconnecting_pty, session_count_ssh, session_counts, usage`

const appColumns = `
  user_id, workspace_id, agent_id, access_method, slug_or_port, session_id, session_started_at, session_ended_at,
  requests`

const toRecord = ({ agentId, at, figures, id, templateId, usage, userId, workspaceId }: StatsRow) => ({
  ...figures,
  id,
  created_at: DateTime.formatIso(at),
  user_id: userId,
  workspace_id: workspaceId,
  template_id: templateId,
  agent_id: agentId,
  usage
})

const toAppRecord = (stats: AppStats) => ({
  user_id: stats.userId,
  workspace_id: stats.workspaceId,
  agent_id: stats.agentId,
  access_method: stats.accessMethod,
  slug_or_port: stats.slugOrPort,
  session_id: stats.sessionId,
  session_started_at: DateTime.formatIso(stats.sessionStartedAt),
  session_ended_at: DateTime.formatIso(stats.sessionEndedAt),
  requests: stats.requests
})
