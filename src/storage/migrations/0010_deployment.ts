/** Adds the deployment: the settings of its administrators, and messages that have not been sent yet. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE TABLE site_configs (key text PRIMARY KEY, value jsonb NOT NULL)`

  yield* sql`
    CREATE TABLE notification_messages (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
      template text NOT NULL,
      labels jsonb NOT NULL,
      data jsonb NOT NULL,
      targets uuid[] NOT NULL DEFAULT '{}',
      created_by text NOT NULL,
      dedupe_hash bytea NOT NULL UNIQUE,
      created_at timestamptz NOT NULL
    )`
})
