/** Adds the usage of apps by users of the service. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // no references, because a batch must not fail when one of its workspaces is deleted
  yield* sql`
    CREATE TABLE workspace_app_stats (
      id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
      user_id uuid NOT NULL,
      workspace_id uuid NOT NULL,
      agent_id uuid NOT NULL,
      access_method text NOT NULL,
      slug_or_port text NOT NULL,
      session_id uuid NOT NULL,
      session_started_at timestamptz NOT NULL,
      session_ended_at timestamptz NOT NULL,
      requests integer NOT NULL,
      UNIQUE (user_id, agent_id, session_id)
    )`

  yield* sql`CREATE INDEX workspace_app_stats_workspace_id_idx ON workspace_app_stats (workspace_id)`
})
