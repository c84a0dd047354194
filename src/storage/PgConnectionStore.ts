/**
 * The connections of agents in Postgres.
 *
 * - Notes of any number of agents are one statement, prepared once. It takes the rows that are free and waits for none, so
 *   that neither another replica nor a change of agents can lock it out, nor be locked out by it.
 * - A note of one agent waits for its row, and holds no other meanwhile.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { column } from "./internal/column.ts"
import { type ConnectionNote, ConnectionStore } from "../agentapi/ports/ConnectionStore.ts"

export const layer: Layer.Layer<ConnectionStore, never, SqlClient.SqlClient> = Layer.effect(
  ConnectionStore,
  SqlClient.SqlClient.useSync((sql) => {
    const update = (notes: ReadonlyArray<ConnectionNote>, lock: "SKIP LOCKED" | "") => {
      const times = (of: (note: ConnectionNote) => DateTime.Utc | null) =>
        column(PgTypes.OID.timestamptz, notes, (note) => {
          const time = of(note)
          return time && DateTime.toEpochMillis(time)
        })
      const ids = column(PgTypes.OID.uuid, notes, ({ agentId }) => agentId)
      return sql<{ agentId: AgentId; isLatest: boolean }>`
        WITH free AS (
          SELECT id FROM workspace_agents WHERE id = ANY (${ids}) FOR NO KEY UPDATE ${sql.literal(lock)}
        ), noted AS (
          UPDATE workspace_agents AS agent SET
            first_connected_at = note.first_connected_at,
            last_connected_at = note.last_connected_at,
            disconnected_at = note.disconnected_at,
            last_connected_replica_id = note.replica_id,
            updated_at = now()
          FROM free
          JOIN unnest(
            ${ids},
            ${times((note) => note.firstConnectedAt)},
            ${times((note) => note.lastConnectedAt)},
            ${times((note) => note.disconnectedAt)},
            ${column(PgTypes.OID.uuid, notes, ({ replicaId }) => replicaId)}
          ) AS note (id, first_connected_at, last_connected_at, disconnected_at, replica_id) USING (id)
          WHERE agent.id = free.id
          RETURNING agent.id, agent.workspace_build_id
        )
        SELECT
          noted.id AS "agentId",
          NOT EXISTS (
            SELECT FROM workspace_builds AS later
            WHERE later.workspace_id = build.workspace_id AND later.build_number > build.build_number
          ) AS "isLatest"
        FROM noted JOIN workspace_builds AS build ON build.id = noted.workspace_build_id`
    }

    return ConnectionStore.of({
      note: (note) =>
        update([note], "").pipe(
          Effect.map(([noted]) => noted?.isLatest === true),
          storeOperation("note the connection of an agent")
        ),

      noteMany: (notes) =>
        update(notes, "SKIP LOCKED").pipe(
          Effect.map((noted) => new Map(noted.map(({ agentId, isLatest }) => [agentId, isLatest]))),
          storeOperation("note the connections of agents")
        )
    })
  })
)
