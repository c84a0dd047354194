/** Adds the newest snapshot of the context of each agent. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // json and not jsonb, which takes no NUL within a text
  yield* sql`
    CREATE TABLE workspace_agent_context_snapshots (
      workspace_agent_id uuid PRIMARY KEY REFERENCES workspace_agents ON DELETE CASCADE,
      version bigint NOT NULL,
      aggregate_hash text NOT NULL,
      snapshot_error text NOT NULL,
      resources json NOT NULL,
      received_at timestamptz NOT NULL
    )`
})
