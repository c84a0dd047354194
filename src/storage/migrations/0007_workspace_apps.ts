/** Adds the apps that an agent runs for users, the statuses that apps report, and the task of a workspace. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE workspace_apps (
      id uuid PRIMARY KEY,
      agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      slug text NOT NULL,
      display_name text NOT NULL DEFAULT '',
      display_group text NOT NULL DEFAULT '',
      display_order integer NOT NULL DEFAULT 0,
      icon text NOT NULL DEFAULT '',
      command text NOT NULL DEFAULT '',
      url text NOT NULL DEFAULT '',
      external boolean NOT NULL DEFAULT false,
      subdomain boolean NOT NULL DEFAULT false,
      hidden boolean NOT NULL DEFAULT false,
      tooltip text NOT NULL DEFAULT '',
      sharing_level text NOT NULL DEFAULT 'owner',
      open_in text NOT NULL DEFAULT 'slim-window',
      healthcheck_url text NOT NULL DEFAULT '',
      healthcheck_interval_seconds integer NOT NULL DEFAULT 0,
      healthcheck_threshold integer NOT NULL DEFAULT 0,
      health text NOT NULL DEFAULT 'disabled',
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (agent_id, slug)
    )`

  yield* sql`
    CREATE TABLE workspace_app_statuses (
      id uuid PRIMARY KEY,
      app_id uuid NOT NULL REFERENCES workspace_apps ON DELETE CASCADE,
      agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
      state text NOT NULL
        CONSTRAINT workspace_app_statuses_state_check CHECK (state IN ('working', 'idle', 'complete', 'failure')),
      message text NOT NULL,
      uri text,
      created_at timestamptz NOT NULL
    )`

  yield* sql`CREATE INDEX workspace_app_statuses_app_id_idx ON workspace_app_statuses (app_id, created_at DESC)`

  yield* sql`
    CREATE TABLE tasks (
      id uuid PRIMARY KEY,
      workspace_id uuid NOT NULL UNIQUE REFERENCES workspaces ON DELETE CASCADE,
      workspace_app_id uuid REFERENCES workspace_apps ON DELETE SET NULL,
      name text NOT NULL,
      prompt text NOT NULL DEFAULT '',
      created_at timestamptz NOT NULL DEFAULT now()
    )`
})
