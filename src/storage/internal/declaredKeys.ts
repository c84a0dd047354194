/** Reads which keys agents have, for a store of metadata that keeps their values elsewhere. */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import { array, column } from "./column.ts"
import { descriptionColumns, DescriptionRow } from "./descriptionRow.ts"

/** Returns the declarations of agents: the listed keys, or all of them for none. */
export const find = (sql: SqlClient.SqlClient, agentIds: ReadonlyArray<AgentId>, keys: ReadonlyArray<string>) =>
  sql`
    SELECT ${descriptionColumns(sql)}
    FROM workspace_agent_metadata_descriptions AS description
    WHERE workspace_agent_id = ANY (${array(PgTypes.OID.uuid, agentIds)})
      AND (${keys.length === 0} OR key = ANY (${array(PgTypes.OID.text, keys)}))`.pipe(
    Effect.flatMap((found) => Effect.orDie(decode(found)))
  )

const decode = Schema.decodeUnknownEffect(Schema.Array(DescriptionRow))

/** Returns those of the rows whose keys are declared. */
export const declaredOf = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, rows: ReadonlyArray<MetadataRow>) {
  const found = yield* sql<{ index: number }>`
    SELECT (index - 1)::int4 AS index
    FROM unnest(
      ${column(PgTypes.OID.uuid, rows, ({ agentId }) => agentId)}::uuid[],
      ${column(PgTypes.OID.text, rows, ({ key }) => key)}::text[]
    ) WITH ORDINALITY AS row (workspace_agent_id, key, index)
    JOIN workspace_agent_metadata_descriptions USING (workspace_agent_id, key)`
  return found.map(({ index }) => rows[index]!)
})

/** Returns those of the ids that belong to no agent. */
export const unknownOf = (sql: SqlClient.SqlClient, ids: ReadonlyArray<string>) =>
  sql<{ id: string }>`
    SELECT id FROM unnest(${array(PgTypes.OID.uuid, ids)}) AS asked (id)
    WHERE NOT EXISTS (SELECT FROM workspace_agents AS agent WHERE agent.id = asked.id)`.pipe(
    Effect.map((found) => found.map(({ id }) => id))
  )
