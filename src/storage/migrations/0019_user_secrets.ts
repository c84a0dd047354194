/**
 * Adds the secrets that users give to the agents of their workspaces.
 *
 * The table has no checks: the error of a check shows the whole row, and logs show errors.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE user_secrets (
      user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
      name text NOT NULL,
      env_name text NOT NULL,
      file_path text NOT NULL,
      value bytea NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (user_id, name)
    )`

  yield* sql`CREATE UNIQUE INDEX user_secrets_env_name_key ON user_secrets (user_id, env_name) WHERE env_name <> ''`

  yield* sql`CREATE UNIQUE INDEX user_secrets_file_path_key ON user_secrets (user_id, file_path) WHERE file_path <> ''`
})
