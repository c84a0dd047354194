/** Announces each change that may revoke access, so that every replica closes the connections that depend on it. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE FUNCTION announce_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('access_changed', TG_ARGV[0] || ':' || (to_jsonb(OLD) ->> TG_ARGV[1]));
      RETURN NULL;
    END $$`

  yield* sql`
    CREATE TRIGGER announce_access_change AFTER UPDATE OF deleted, is_admin OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user', 'id')`
  yield* sql`
    CREATE TRIGGER announce_access_change AFTER UPDATE OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('user', 'user_id')`
  yield* sql`
    CREATE TRIGGER announce_access_change AFTER UPDATE OF deleted, owner_id OR DELETE ON workspaces
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('workspace', 'id')`
  // heartbeats update this table all the time, but none of these columns
  yield* sql`
    CREATE TRIGGER announce_access_change AFTER UPDATE OF deleted, auth_token_hash OR DELETE ON workspace_agents
    FOR EACH ROW EXECUTE FUNCTION announce_access_change('agent', 'id')`
})
