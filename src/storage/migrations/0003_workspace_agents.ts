/**
 * Adds agents, the programs that report. Only a hash of an agent's token is stored. A sub-agent is deleted with its
 * parent.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE workspace_agents (
      id uuid PRIMARY KEY,
      workspace_build_id uuid NOT NULL REFERENCES workspace_builds ON DELETE CASCADE,
      parent_id uuid REFERENCES workspace_agents ON DELETE CASCADE,
      name text NOT NULL,
      auth_token_hash bytea NOT NULL UNIQUE,
      deleted boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now()
    )`

  yield* sql`
    CREATE UNIQUE INDEX workspace_agents_workspace_build_id_name_key
    ON workspace_agents (workspace_build_id, lower(name)) WHERE NOT deleted`

  yield* sql`CREATE INDEX workspace_agents_parent_id_idx ON workspace_agents (parent_id) WHERE parent_id IS NOT NULL`
})
