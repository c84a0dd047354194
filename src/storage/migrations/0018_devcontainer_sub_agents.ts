/** Adds the sub-agent of a devcontainer that was created before the devcontainer runs. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    ALTER TABLE workspace_agent_devcontainers
    ADD COLUMN subagent_id uuid REFERENCES workspace_agents ON DELETE SET NULL`

  yield* sql`
    CREATE INDEX workspace_agent_devcontainers_subagent_id_idx ON workspace_agent_devcontainers (subagent_id)
    WHERE subagent_id IS NOT NULL`
})
