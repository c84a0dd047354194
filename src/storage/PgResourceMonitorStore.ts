/** Stores the resource monitors of agents in Postgres. */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { coalescedRows } from "./internal/coalesced.ts"
import { array, column } from "./internal/column.ts"
import { ResourceMonitorStore } from "../agentapi/ports/ResourceMonitorStore.ts"

const Row = Schema.Struct({
  /** Null for memory. */
  path: Schema.NullOr(Schema.String),
  enabled: Schema.Boolean,
  threshold: Schema.Int,
  state: Schema.Literals(["ok", "nok"]),
  debouncedUntil: Schema.DateTimeUtcFromDate
})

export const layer: Layer.Layer<ResourceMonitorStore, never, SqlClient.SqlClient> = Layer.effect(
  ResourceMonitorStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const monitors = yield* coalescedRows(sql, {
      share: "logins",
      operation: "read the resource monitors",
      row: Row,
      execute: (agentIds: ReadonlyArray<AgentId>) => sql<{ ownerId: AgentId }>`
        SELECT agent_id AS "ownerId", NULL AS path, enabled, threshold, state, debounced_until AS "debouncedUntil"
        FROM workspace_agent_memory_resource_monitors
        WHERE agent_id = ANY (${array(PgTypes.OID.uuid, agentIds)})
        UNION ALL
        SELECT agent_id, path, enabled, threshold, state, debounced_until
        FROM workspace_agent_volume_resource_monitors
        WHERE agent_id = ANY (${array(PgTypes.OID.uuid, agentIds)})
        ORDER BY path`
    })

    return ResourceMonitorStore.of({
      load: (agentId) =>
        Effect.map(monitors(agentId), (own) => ({
          memory: own.flatMap(({ path, ...monitor }) => (path === null ? [monitor] : []))[0] ?? null,
          volumes: own.flatMap(({ path, ...monitor }) => (path === null ? [] : [{ path, ...monitor }]))
        })),

      putMemory: (agentId, { debouncedUntil, state }, at) =>
        sql`
          UPDATE workspace_agent_memory_resource_monitors SET
            state = ${state},
            debounced_until = ${DateTime.toDateUtc(debouncedUntil)},
            updated_at = ${DateTime.toDateUtc(at)}
          WHERE agent_id = ${agentId}`.pipe(Effect.asVoid, storeOperation(sql, "calls", "write the memory monitor")),

      putVolumes: (agentId, monitors, at) =>
        sql`
          UPDATE workspace_agent_volume_resource_monitors AS monitor SET
            state = next.state,
            debounced_until = next.debounced_until,
            updated_at = ${DateTime.toDateUtc(at)}
          FROM unnest(
            ${column(PgTypes.OID.text, monitors, ({ path }) => path)}::text[],
            ${column(PgTypes.OID.text, monitors, ({ state }) => state)}::text[],
            ${column(PgTypes.OID.timestamptz, monitors, ({ debouncedUntil }) => DateTime.toDateUtc(debouncedUntil))}::timestamptz[]
          ) AS next (path, state, debounced_until)
          WHERE monitor.agent_id = ${agentId} AND monitor.path = next.path`.pipe(
          Effect.asVoid,
          storeOperation(sql, "calls", "write the volume monitors")
        )
    })
  })
)
