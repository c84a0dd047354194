/** Stores the runs of agents' scripts in Postgres. */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { storeOperation } from "./internal/storeOperation.ts"
import { ScriptStore } from "../agentapi/ports/ScriptStore.ts"

export const layer: Layer.Layer<ScriptStore, never, SqlClient.SqlClient> = Layer.effect(
  ScriptStore,
  SqlClient.SqlClient.useSync((sql) =>
    ScriptStore.of({
      addTiming: (agentId, { endedAt, exitCode, scriptId, stage, startedAt, status }) =>
        sql`
          INSERT INTO workspace_agent_script_timings (script_id, started_at, ended_at, exit_code, stage, status)
          SELECT
            id, ${DateTime.toDateUtc(startedAt)}::timestamptz, ${DateTime.toDateUtc(endedAt)}::timestamptz,
            ${exitCode}::integer, ${stage}, ${status}
          FROM workspace_agent_scripts
          WHERE id = ${scriptId} AND workspace_agent_id = ${agentId}
          RETURNING script_id`.pipe(
          Effect.map((stored) => stored.length > 0),
          storeOperation(sql, "calls", "store the run of a script")
        )
    })
  )
)
