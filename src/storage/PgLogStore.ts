/**
 * Stores the logs of agents in Postgres.
 *
 * - A batch is one statement. It stores the lines, adds their bytes to the agent's log length, marks the agent when it
 *   logged too much, and creates the source for external programs: all of it or nothing.
 * - Batches of one agent wait for each other before their lines are numbered.
 */
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { LogId, maxBytes } from "../domain/AgentLog.ts"
import { type AgentId, LogSourceId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { type LogBatch, type LogSource, LogStore } from "../agentapi/ports/LogStore.ts"

/** The source of lines that external programs print; the id is the original's. */
export const externalSourceId = LogSourceId.make("3b579bf4-1ed8-4b99-87a8-e9a1e3410410")

export const layer: Layer.Layer<LogStore, never, SqlClient.SqlClient> = Layer.effect(
  LogStore,
  SqlClient.SqlClient.useSync((sql) => {
    const append = (agentId: AgentId, { lines, receivedAt, sourceId }: LogBatch) => sql`
      WITH agent AS (
        SELECT id, logs_length, logs_overflowed FROM workspace_agents
        WHERE id = ${agentId} AND NOT deleted
        FOR NO KEY UPDATE
      ), line AS (
        SELECT
          agent.id AS agent_id, place, level, output,
          logs_length + sum(octet_length(output)) OVER (ORDER BY place) AS length
        FROM agent
        CROSS JOIN unnest(${lines.map(({ level }) => level)}::text[], ${lines.map(({ output }) => output)}::text[])
          WITH ORDINALITY AS line (level, output, place)
        WHERE NOT logs_overflowed
      ), source AS (
        INSERT INTO workspace_agent_log_sources (workspace_agent_id, id, display_name)
        SELECT agent_id, ${externalSourceId}, 'External' FROM line
        WHERE place = 1 AND length <= ${maxBytes} AND ${sourceId === null}
        ON CONFLICT DO NOTHING
      ), stored AS (
        INSERT INTO workspace_agent_logs (agent_id, log_source_id, level, output, created_at)
        SELECT agent_id, ${sourceId ?? externalSourceId}, level, output, ${DateTime.toDateUtc(receivedAt)}
        FROM line WHERE length <= ${maxBytes} ORDER BY place
        RETURNING id
      ), total AS (
        SELECT max(length) FILTER (WHERE length <= ${maxBytes}) AS length, bool_or(length > ${maxBytes}) AS crossed
        FROM line
      ), counted AS (
        UPDATE workspace_agents AS counted
        SET logs_length = coalesce(total.length, agent.logs_length), logs_overflowed = total.crossed
        FROM agent, total
        WHERE counted.id = agent.id AND total.crossed IS NOT NULL
      )
      SELECT
        first.id::float8 AS "firstId",
        logs_length = 0 AND first.id IS NOT NULL AS "isFirst",
        CASE WHEN logs_overflowed THEN 'crossed before' WHEN crossed THEN 'crossed' ELSE 'kept' END AS "limit"
      FROM agent, total, (SELECT min(id) AS id FROM stored) AS first`

    const addSource = (agentId: AgentId, { displayName, icon, id }: LogSource) => sql`
      INSERT INTO workspace_agent_log_sources (workspace_agent_id, id, display_name, icon)
      VALUES (${agentId}, ${id}, ${displayName}, ${icon})
      ON CONFLICT (workspace_agent_id, id) DO UPDATE SET id = excluded.id
      RETURNING created_at`

    return LogStore.of({
      addSource: (agentId, source) =>
        addSource(agentId, source).pipe(
          Effect.flatMap(([added]) => decodeSource(added)),
          Effect.map(({ created_at }) => created_at),
          storeOperation(sql, "calls", "store a source of logs")
        ),
      append: (agentId, batch) =>
        append(agentId, batch).pipe(
          Effect.flatMap(([appended]) => decode(appended)),
          storeOperation(sql, "calls", "store the logs of an agent")
        )
    })
  })
)

const decodeSource = Schema.decodeUnknownEffect(Schema.Struct({ created_at: Schema.DateTimeUtcFromDate }))

const decode = Schema.decodeUnknownEffect(
  Schema.Struct({
    firstId: Schema.OptionFromNullOr(LogId),
    isFirst: Schema.Boolean,
    limit: Schema.Literals(["kept", "crossed", "crossed before"])
  })
)
