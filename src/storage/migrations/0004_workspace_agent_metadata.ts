/**
 * Adds the metadata of agents, in two tables.
 *
 * - The declarations of a template must survive a crash of the database, so their table is logged.
 * - The values change every few seconds and need not survive, so their table is unlogged, which is cheaper. Its rows
 *   are narrow, and its pages have room for the next version of each row, so that an update touches no index.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE workspace_agent_metadata_descriptions (
      workspace_agent_id uuid NOT NULL REFERENCES workspace_agents ON DELETE CASCADE,
      key varchar(127) NOT NULL,
      display_name varchar(127) NOT NULL,
      script varchar(65535) NOT NULL,
      interval bigint NOT NULL,
      timeout bigint NOT NULL,
      display_order integer NOT NULL DEFAULT 0,
      PRIMARY KEY (workspace_agent_id, key)
    )`

  yield* sql`
    COMMENT ON COLUMN workspace_agent_metadata_descriptions.interval IS
      'Nanoseconds between two samples; zero for one sample only'`

  yield* sql`COMMENT ON COLUMN workspace_agent_metadata_descriptions.timeout IS 'Nanoseconds'`

  yield* sql`
    CREATE UNLOGGED TABLE workspace_agent_metadata (
      workspace_agent_id uuid NOT NULL,
      key varchar(127) NOT NULL,
      value varchar(65535) NOT NULL DEFAULT '',
      error varchar(65535) NOT NULL DEFAULT '',
      collected_at timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00',
      PRIMARY KEY (workspace_agent_id, key),
      FOREIGN KEY (workspace_agent_id, key) REFERENCES workspace_agent_metadata_descriptions ON DELETE CASCADE
    ) WITH (fillfactor = 70)`
})
