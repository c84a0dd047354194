/** Stores the newest snapshot of the context of each agent in Postgres: one row, replaced by one statement. */
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AgentContextStore } from "../agentapi/ports/AgentContextStore.ts"
import * as AgentContext from "../domain/AgentContext.ts"
import { AgentId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"

const Row = Schema.Struct({ ...AgentContext.Snapshot.fields, received_at: Schema.DateTimeUtcFromDate })

export const layer: Layer.Layer<AgentContextStore, never, SqlClient.SqlClient> = Layer.effect(
  AgentContextStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const find = SqlSchema.findOneOption({
      Request: AgentId,
      Result: Row,
      execute: (agentId) => sql`
        SELECT version::text AS version, aggregate_hash, snapshot_error, resources, received_at
        FROM workspace_agent_context_snapshots
        WHERE workspace_agent_id = ${agentId}`
    })

    return AgentContextStore.of({
      replace: (agentId, { aggregate_hash, received_at, resources, snapshot_error, version }, { initial }) =>
        Effect.suspend(
          () => sql`
            INSERT INTO workspace_agent_context_snapshots AS stored
              (workspace_agent_id, version, aggregate_hash, snapshot_error, resources, received_at)
            SELECT
              id, ${String(version)}::bigint, ${aggregate_hash}, ${snapshot_error}, ${encode(resources)}::json,
              ${DateTime.toDateUtc(received_at)}::timestamptz
            FROM workspace_agents
            WHERE id = ${agentId} AND NOT deleted
            ON CONFLICT (workspace_agent_id) DO UPDATE SET
              version = excluded.version,
              aggregate_hash = excluded.aggregate_hash,
              snapshot_error = excluded.snapshot_error,
              resources = excluded.resources,
              received_at = excluded.received_at
            WHERE ${initial} OR excluded.version > stored.version
            RETURNING version`
        ).pipe(
          Effect.map((replaced) => replaced.length > 0),
          storeOperation(sql, "calls", "store the context of an agent")
        ),
      find: (agentId) => find(agentId).pipe(storeOperation(sql, "readers", "read the context of an agent"))
    })
  })
)

const encode = Schema.encodeSync(Schema.fromJsonString(AgentContext.Resources))
