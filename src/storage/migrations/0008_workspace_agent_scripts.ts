/** Adds the scripts of an agent with their timings, log sources, log lines, and devcontainers. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE workspace_agent_log_sources (
      workspace_agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      id uuid NOT NULL,
      display_name varchar(127) NOT NULL,
      icon text NOT NULL DEFAULT '',
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (workspace_agent_id, id)
    )`

  yield* sql`
    CREATE TABLE workspace_agent_logs (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      log_source_id uuid NOT NULL,
      level text NOT NULL DEFAULT 'info'
        CONSTRAINT workspace_agent_logs_level_check CHECK (level IN ('trace', 'debug', 'info', 'warn', 'error')),
      output varchar(1024) NOT NULL,
      created_at timestamptz NOT NULL
    )`

  yield* sql`CREATE INDEX workspace_agent_logs_agent_id_id_idx ON workspace_agent_logs (agent_id, id)`

  yield* sql`
    CREATE TABLE workspace_agent_scripts (
      id uuid PRIMARY KEY,
      workspace_agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      log_source_id uuid NOT NULL,
      log_path text NOT NULL DEFAULT '',
      display_name text NOT NULL DEFAULT '',
      script text NOT NULL,
      cron text NOT NULL DEFAULT '',
      run_on_start boolean NOT NULL DEFAULT false,
      run_on_stop boolean NOT NULL DEFAULT false,
      start_blocks_login boolean NOT NULL DEFAULT false,
      timeout_seconds integer NOT NULL DEFAULT 0,
      created_at timestamptz NOT NULL DEFAULT now()
    )`

  yield* sql`CREATE INDEX workspace_agent_scripts_workspace_agent_id_idx ON workspace_agent_scripts (workspace_agent_id)`

  yield* sql`
    CREATE TABLE workspace_agent_script_timings (
      script_id uuid NOT NULL REFERENCES workspace_agent_scripts ON DELETE CASCADE,
      started_at timestamptz NOT NULL,
      ended_at timestamptz NOT NULL,
      exit_code integer NOT NULL,
      stage text NOT NULL
        CONSTRAINT workspace_agent_script_timings_stage_check CHECK (stage IN ('start', 'stop', 'cron')),
      status text NOT NULL
        CONSTRAINT workspace_agent_script_timings_status_check
        CHECK (status IN ('ok', 'exit_failure', 'timed_out', 'pipes_left_open'))
    )`

  yield* sql`CREATE INDEX workspace_agent_script_timings_script_id_idx ON workspace_agent_script_timings (script_id)`

  yield* sql`
    CREATE TABLE workspace_agent_devcontainers (
      id uuid PRIMARY KEY,
      workspace_agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      name text NOT NULL,
      workspace_folder text NOT NULL,
      config_path text NOT NULL DEFAULT '',
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (workspace_agent_id, workspace_folder, config_path)
    )`
})
