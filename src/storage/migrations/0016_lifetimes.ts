/**
 * Adds the times of deletions, after which rows are purged, and the lifetimes of users' tokens.
 *
 * The use of a token changes its row, so only changes that may take a right away are announced from now on.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE FUNCTION record_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.deleted_at := CASE WHEN NEW.deleted THEN coalesce(OLD.deleted_at, now()) END;
      RETURN NEW;
    END $$`
  for (const table of ["users", "workspaces", "workspace_agents"]) {
    yield* sql`ALTER TABLE ${sql(table)} ADD COLUMN deleted_at timestamptz`
    yield* sql`UPDATE ${sql(table)} SET deleted_at = now() WHERE deleted`
    yield* sql`
      CREATE TRIGGER record_deletion BEFORE UPDATE OF deleted ON ${sql(table)}
      FOR EACH ROW EXECUTE FUNCTION record_deletion()`
    yield* sql`
      CREATE INDEX ${sql(`${table}_deleted_at_idx`)} ON ${sql(table)} (deleted_at) WHERE deleted_at IS NOT NULL`
  }

  // otherwise the deletion of an agent or a build scans these tables
  yield* sql`CREATE INDEX workspace_agents_workspace_build_id_idx ON workspace_agents (workspace_build_id)`
  yield* sql`CREATE INDEX workspace_app_statuses_agent_id_idx ON workspace_app_statuses (agent_id)`
  yield* sql`CREATE INDEX workspace_app_statuses_workspace_id_idx ON workspace_app_statuses (workspace_id)`

  yield* sql`ALTER TABLE api_tokens ADD COLUMN expires_at timestamptz, ADD COLUMN last_used_at timestamptz`
  yield* sql`CREATE INDEX api_tokens_expires_at_idx ON api_tokens (expires_at) WHERE expires_at IS NOT NULL`
  yield* sql`DROP TRIGGER announce_access_change ON api_tokens`
  yield* sql`
    CREATE TRIGGER announce_access_change AFTER UPDATE OF user_id, name, hash, expires_at OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user', 'user_id')`
})
