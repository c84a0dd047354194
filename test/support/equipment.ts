import { PgTypes } from "@effect/sql-pg"
import { Effect, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../../src/domain/Ids.ts"

/** Gives agents a script each, an app whose health is checked, and monitors of its memory and of a volume. */
export const equip = Effect.fnUntraced(function* (agents: ReadonlyArray<AgentId>) {
  const sql = yield* SqlClient.SqlClient
  const ids = Result.getOrThrow(PgTypes.array([...agents], PgTypes.OID.uuid))
  yield* sql`
    INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script, run_on_start)
    SELECT gen_random_uuid(), id, gen_random_uuid(), './prepare', true FROM unnest(${ids}) AS id`
  yield* sql`
    INSERT INTO workspace_agent_log_sources (workspace_agent_id, id, display_name)
    SELECT workspace_agent_id, log_source_id, 'prepare' FROM workspace_agent_scripts
    WHERE workspace_agent_id = ANY(${ids})`
  yield* sql`
    INSERT INTO workspace_apps (id, agent_id, slug, healthcheck_url, health)
    SELECT gen_random_uuid(), id, 'web', 'http://localhost:8080/healthz', 'initializing' FROM unnest(${ids}) AS id`
  yield* sql`
    INSERT INTO workspace_agent_memory_resource_monitors (agent_id, enabled, threshold)
    SELECT id, true, 80 FROM unnest(${ids}) AS id`
  yield* sql`
    INSERT INTO workspace_agent_volume_resource_monitors (agent_id, path, enabled, threshold)
    SELECT id, '/home', true, 80 FROM unnest(${ids}) AS id`
})
