/**
 * Adds workspaces, to which agents belong. A workspace is created from a template, and each of its builds is a run of
 * that template.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE templates (
      id uuid PRIMARY KEY,
      organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
      name text NOT NULL,
      deleted boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now()
    )`

  yield* sql`
    CREATE UNIQUE INDEX templates_organization_id_name_key
    ON templates (organization_id, lower(name)) WHERE NOT deleted`

  yield* sql`
    CREATE TABLE workspaces (
      id uuid PRIMARY KEY,
      owner_id uuid NOT NULL REFERENCES users,
      organization_id uuid NOT NULL REFERENCES organizations,
      template_id uuid NOT NULL REFERENCES templates,
      name text NOT NULL,
      deleted boolean NOT NULL DEFAULT false,
      last_used_at timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
      created_at timestamptz NOT NULL DEFAULT now()
    )`

  yield* sql`CREATE UNIQUE INDEX workspaces_owner_id_name_key ON workspaces (owner_id, lower(name)) WHERE NOT deleted`

  yield* sql`CREATE INDEX workspaces_template_id_idx ON workspaces (template_id)`

  // text with a check instead of an enumeration, which a later migration could not change within a transaction
  yield* sql`
    CREATE TABLE workspace_builds (
      id uuid PRIMARY KEY,
      workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
      build_number integer NOT NULL,
      transition text NOT NULL
        CONSTRAINT workspace_builds_transition_check CHECK (transition IN ('start', 'stop', 'delete')),
      job_status text NOT NULL DEFAULT 'pending'
        CONSTRAINT workspace_builds_job_status_check CHECK (job_status IN
          ('pending', 'running', 'succeeded', 'canceling', 'canceled', 'failed', 'unknown')),
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (workspace_id, build_number)
    )`
})
