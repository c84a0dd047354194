/** The statement with which an agent declares keys. */
import { PgTypes } from "@effect/sql-pg"
import { Duration, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { ManifestStore } from "../../agentapi/ports/ManifestStore.ts"
import { column } from "./column.ts"
import { storeOperation } from "./storeOperation.ts"

export const declareKeys =
  (sql: SqlClient.SqlClient): ManifestStore["Service"]["declareKeys"] =>
  (agentId, keys, maxKeys) =>
    Effect.suspend(() =>
      Effect.andThen(
        // makes other declarations of the agent wait: a statement counts what was there when it began
        sql`SELECT id FROM workspace_agents WHERE id = ${agentId} FOR NO KEY UPDATE`,
        sql`
        WITH agent AS (
          SELECT id FROM workspace_agents WHERE id = ${agentId} AND NOT deleted
        ), missing AS (
          SELECT agent.id, key, display_name, interval, timeout
          FROM agent, unnest(
            ${column(PgTypes.OID.text, keys, ({ key }) => key)}::text[],
            ${column(PgTypes.OID.text, keys, ({ displayName }) => displayName)}::text[],
            ${column(PgTypes.OID.int8, keys, ({ interval }) => Duration.toNanosUnsafe(interval))}::int8[],
            ${column(PgTypes.OID.int8, keys, ({ timeout }) => Duration.toNanosUnsafe(timeout))}::int8[]
          ) AS declared (key, display_name, interval, timeout)
          WHERE NOT EXISTS (
            SELECT FROM workspace_agent_metadata_descriptions AS known
            WHERE known.workspace_agent_id = agent.id AND known.key = declared.key
          )
        ), described AS (
          INSERT INTO workspace_agent_metadata_descriptions
            (workspace_agent_id, key, display_name, script, interval, timeout)
          SELECT id, key, display_name, '', interval, timeout FROM missing
          WHERE (SELECT count(*) FROM missing) + (
            SELECT count(*) FROM workspace_agent_metadata_descriptions WHERE workspace_agent_id = ${agentId}
          ) <= ${maxKeys}
          RETURNING workspace_agent_id, key
        ), stored AS (
          INSERT INTO workspace_agent_metadata (workspace_agent_id, key)
          SELECT workspace_agent_id, key FROM described
        )
        SELECT (SELECT count(*) FROM described) = (SELECT count(*) FROM missing) AS done`
      )
    ).pipe(
      sql.withTransaction,
      Effect.map(([row]) => row?.["done"] === true),
      storeOperation(sql, "calls", "declare keys of an agent")
    )
