/**
 * Records the connections of agents in Postgres.
 *
 * - The heartbeats of any number of agents are one statement, prepared once. It updates the rows that are not locked
 *   and skips the others, so that it neither blocks nor is blocked by another replica or a change of agents.
 * - The heartbeat of one agent waits for the agent's row, and holds no other row meanwhile.
 * - A heartbeat or an end records nothing while the agent is connected to another replica, that is, while another
 *   replica has recorded a heartbeat within the last minute and no end.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { column } from "./internal/column.ts"
import { type AgentSocketRecord, AgentSocketStore, type Recorded } from "../agentapi/ports/AgentSocketStore.ts"

export const layer: Layer.Layer<AgentSocketStore, never, SqlClient.SqlClient> = Layer.effect(
  AgentSocketStore,
  SqlClient.SqlClient.useSync((sql) => {
    const update = (records: ReadonlyArray<AgentSocketRecord>, lock: "SKIP LOCKED" | "") => {
      const times = (of: (record: AgentSocketRecord) => DateTime.Utc | null) =>
        column(PgTypes.OID.timestamptz, records, (record) => {
          const time = of(record)
          return time && DateTime.toEpochMillis(time)
        })
      const ids = column(PgTypes.OID.uuid, records, ({ agentId }) => agentId)
      return sql<{ agentId: AgentId; recorded: Recorded }>`
        WITH free AS (
          SELECT id FROM workspace_agents WHERE id = ANY (${ids}) FOR NO KEY UPDATE ${sql.literal(lock)}
        ), recorded AS (
          UPDATE workspace_agents AS agent SET
            first_connected_at = heartbeat.first_connected_at,
            last_connected_at = heartbeat.last_connected_at,
            disconnected_at = heartbeat.disconnected_at,
            last_connected_replica_id = heartbeat.replica_id,
            updated_at = now()
          FROM free
          JOIN unnest(
            ${ids},
            ${times((record) => record.firstConnectedAt)},
            ${times((record) => record.lastConnectedAt)},
            ${times((record) => record.disconnectedAt)},
            ${column(PgTypes.OID.uuid, records, ({ replicaId }) => replicaId)},
            ${column(PgTypes.OID.text, records, ({ phase }) => phase)}
          ) AS heartbeat (id, first_connected_at, last_connected_at, disconnected_at, replica_id, phase) USING (id)
          WHERE agent.id = free.id
            AND (
              heartbeat.phase = 'start'
              OR agent.last_connected_replica_id IS NOT DISTINCT FROM heartbeat.replica_id
              OR (
                heartbeat.phase = 'heartbeat'
                AND (
                  agent.disconnected_at >= agent.last_connected_at
                  OR agent.last_connected_at < heartbeat.last_connected_at - interval '1 minute'
                )
              )
            )
          RETURNING agent.id, agent.workspace_build_id
        )
        SELECT
          free.id AS "agentId",
          CASE
            WHEN recorded.id IS NULL THEN 'replaced'
            WHEN EXISTS (
              SELECT FROM workspace_builds AS later
              WHERE later.workspace_id = build.workspace_id AND later.build_number > build.build_number
            ) THEN 'outdated'
            ELSE 'latest'
          END AS recorded
        FROM free
        LEFT JOIN recorded ON recorded.id = free.id
        LEFT JOIN workspace_builds AS build ON build.id = recorded.workspace_build_id`
    }

    return AgentSocketStore.of({
      recordHeartbeat: (record) =>
        update([record], "").pipe(
          Effect.map(([row]) => row?.recorded ?? "outdated"),
          storeOperation(sql, "calls", "record the heartbeat of an agent")
        ),

      recordHeartbeats: (records) =>
        update(records, "SKIP LOCKED").pipe(
          Effect.map((rows) => new Map(rows.map(({ agentId, recorded }) => [agentId, recorded]))),
          storeOperation(sql, "heartbeats", "record the heartbeats of agents")
        )
    })
  })
)
