/**
 * Adds the state of an agent (declaration, connections, lifecycle) and the time when all agents of a build were ready.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    ALTER TABLE workspace_agents
      ADD COLUMN architecture text NOT NULL DEFAULT 'amd64',
      ADD COLUMN operating_system text NOT NULL DEFAULT 'linux',
      ADD COLUMN directory text NOT NULL DEFAULT '',
      ADD COLUMN environment_variables jsonb NOT NULL DEFAULT '{}',
      ADD COLUMN motd_file text NOT NULL DEFAULT '',
      ADD COLUMN troubleshooting_url text NOT NULL DEFAULT '',
      ADD COLUMN connection_timeout_seconds integer NOT NULL DEFAULT 120,
      ADD COLUMN api_key_scope text NOT NULL DEFAULT 'all'
        CONSTRAINT workspace_agents_api_key_scope_check CHECK (api_key_scope IN ('all', 'no_user_data')),
      ADD COLUMN display_apps text[] NOT NULL DEFAULT '{vscode,web_terminal,ssh_helper,port_forwarding_helper}',
      ADD COLUMN version text NOT NULL DEFAULT '',
      ADD COLUMN api_version text NOT NULL DEFAULT '',
      ADD COLUMN expanded_directory text NOT NULL DEFAULT '',
      ADD COLUMN subsystems text[] NOT NULL DEFAULT '{}',
      ADD COLUMN first_connected_at timestamptz,
      ADD COLUMN last_connected_at timestamptz,
      ADD COLUMN disconnected_at timestamptz,
      ADD COLUMN last_connected_replica_id uuid,
      ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
      ADD COLUMN lifecycle_state text NOT NULL DEFAULT 'created'
        CONSTRAINT workspace_agents_lifecycle_state_check CHECK (lifecycle_state IN
          ('created', 'starting', 'start_timeout', 'start_error', 'ready',
           'shutting_down', 'shutdown_timeout', 'shutdown_error', 'off')),
      ADD COLUMN started_at timestamptz,
      ADD COLUMN ready_at timestamptz,
      ADD COLUMN logs_length integer NOT NULL DEFAULT 0
        CONSTRAINT workspace_agents_logs_length_check CHECK (logs_length <= 1048576),
      ADD COLUMN logs_overflowed boolean NOT NULL DEFAULT false`

  // null until every agent of the build has ended its startup, successfully or not
  yield* sql`ALTER TABLE workspace_builds ADD COLUMN agents_ready_at timestamptz`
})
