/**
 * Adds the schedules of workspaces, and prebuilt workspaces. Durations are in nanoseconds.
 *
 * - Schedules: the limits of a template, the schedule that a workspace requests, and the deadline of a build.
 * - Prebuilt workspaces: the user who owns them, and the purpose for which a workspace was created.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    ALTER TABLE templates
      ADD COLUMN activity_bump bigint NOT NULL DEFAULT 3600000000000,
      ADD COLUMN default_ttl bigint NOT NULL DEFAULT 0,
      ADD COLUMN allow_user_autostart boolean NOT NULL DEFAULT true,
      ADD COLUMN allow_user_autostop boolean NOT NULL DEFAULT true,
      ADD COLUMN max_port_sharing_level text NOT NULL DEFAULT 'public'
        CONSTRAINT templates_max_port_sharing_level_check
        CHECK (max_port_sharing_level IN ('owner', 'authenticated', 'organization', 'public'))`

  yield* sql`
    CREATE TABLE template_versions (
      id uuid PRIMARY KEY,
      template_id uuid NOT NULL REFERENCES templates ON DELETE CASCADE,
      name text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (template_id, name)
    )`

  yield* sql`
    ALTER TABLE workspaces
      ADD COLUMN autostart_schedule text,
      ADD COLUMN ttl bigint`

  yield* sql`
    ALTER TABLE workspace_builds
      ADD COLUMN template_version_id uuid REFERENCES template_versions,
      ADD COLUMN deadline timestamptz,
      ADD COLUMN max_deadline timestamptz`

  yield* sql`
    INSERT INTO users (id, username) VALUES ('c42fdf75-3097-471c-8c33-fb52454d81c0', 'prebuilds')
    ON CONFLICT DO NOTHING`
})
