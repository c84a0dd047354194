/**
 * Adds the other reports of agents: statistics, user sessions, memory and disks, and requests of AI agents in a
 * boundary.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // no references, because a batch must not fail when one of its workspaces is deleted
  yield* sql`
    CREATE TABLE workspace_agent_stats (
      id uuid PRIMARY KEY,
      created_at timestamptz NOT NULL,
      user_id uuid NOT NULL,
      workspace_id uuid NOT NULL,
      template_id uuid NOT NULL,
      agent_id uuid NOT NULL,
      connections_by_proto jsonb NOT NULL DEFAULT '{}',
      connection_count bigint NOT NULL DEFAULT 0,
      connection_median_latency_ms double precision NOT NULL DEFAULT -1,
      rx_packets bigint NOT NULL DEFAULT 0,
      rx_bytes bigint NOT NULL DEFAULT 0,
      tx_packets bigint NOT NULL DEFAULT 0,
      tx_bytes bigint NOT NULL DEFAULT 0,
      session_count_vscode bigint NOT NULL DEFAULT 0,
      session_count_jetbrains bigint NOT NULL DEFAULT 0,
      session_count_reconnecting_pty bigint NOT NULL DEFAULT 0,
      session_count_ssh bigint NOT NULL DEFAULT 0,
      session_counts jsonb NOT NULL DEFAULT '{}',
      usage boolean NOT NULL DEFAULT false
    )`

  yield* sql`CREATE INDEX workspace_agent_stats_created_at_idx ON workspace_agent_stats (created_at)`

  yield* sql`
    CREATE TABLE connection_logs (
      id uuid PRIMARY KEY,
      connect_time timestamptz NOT NULL,
      organization_id uuid NOT NULL,
      workspace_owner_id uuid NOT NULL,
      workspace_id uuid NOT NULL,
      workspace_name text NOT NULL,
      agent_name text NOT NULL,
      type text NOT NULL
        CONSTRAINT connection_logs_type_check CHECK (type IN ('ssh', 'vscode', 'jetbrains', 'reconnecting_pty')),
      app_name text,
      ip inet,
      code integer,
      connection_id uuid NOT NULL,
      disconnect_time timestamptz,
      disconnect_reason text,
      UNIQUE (connection_id, workspace_id, agent_name)
    )`

  yield* sql`CREATE INDEX connection_logs_workspace_id_idx ON connection_logs (workspace_id, connect_time)`

  yield* sql`
    CREATE TABLE workspace_agent_memory_resource_monitors (
      agent_id uuid PRIMARY KEY REFERENCES workspace_agents ON DELETE CASCADE,
      enabled boolean NOT NULL,
      threshold integer NOT NULL,
      state text NOT NULL DEFAULT 'ok' CHECK (state IN ('ok', 'nok')),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      debounced_until timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00'
    )`

  yield* sql`
    CREATE TABLE workspace_agent_volume_resource_monitors (
      agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      path text NOT NULL,
      enabled boolean NOT NULL,
      threshold integer NOT NULL,
      state text NOT NULL DEFAULT 'ok' CHECK (state IN ('ok', 'nok')),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      debounced_until timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
      PRIMARY KEY (agent_id, path)
    )`

  yield* sql`
    CREATE TABLE boundary_usage_stats (
      replica_id uuid PRIMARY KEY,
      unique_workspaces bigint NOT NULL,
      unique_users bigint NOT NULL,
      allowed_requests bigint NOT NULL,
      denied_requests bigint NOT NULL,
      window_start timestamptz NOT NULL,
      updated_at timestamptz NOT NULL
    )`
})
