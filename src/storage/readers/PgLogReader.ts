/** Reads the logs and lifecycles of agents from Postgres, for users. */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AgentLog, LogId } from "../../domain/AgentLog.ts"
import { AgentId, UserId } from "../../domain/Ids.ts"
import { Lifecycle, LogReader } from "../../watch/LogReader.ts"
import { storeOperation } from "../internal/storeOperation.ts"

const LogRow = Schema.Struct({ ...AgentLog.fields, created_at: Schema.DateTimeUtcFromDate })

const AgentRow = Schema.Struct({
  ...Lifecycle.fields,
  started_at: Schema.NullOr(Schema.DateTimeUtcFromDate),
  ready_at: Schema.NullOr(Schema.DateTimeUtcFromDate),
  ownerId: UserId
})

export const layer: Layer.Layer<LogReader, never, SqlClient.SqlClient> = Layer.effect(
  LogReader,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const logs = SqlSchema.findAll({
      Request: Schema.Struct({ agentId: AgentId, after: LogId, limit: Schema.Int }),
      Result: LogRow,
      execute: ({ after, agentId, limit }) => sql`
        SELECT log.id::float8 AS id, created_at, level, output, log_source_id AS source_id
        FROM workspace_agent_logs AS log
        WHERE agent_id = ${agentId} AND log.id > ${after}
        ORDER BY log.id
        LIMIT ${limit}`
    })

    const agent = SqlSchema.findOneOption({
      Request: AgentId,
      Result: AgentRow,
      execute: (agentId) => sql`
        SELECT lifecycle_state AS state, started_at, ready_at, workspace.owner_id AS "ownerId"
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted`
    })

    return LogReader.of({
      logs: (agentId, after, limit) =>
        logs({ agentId, after, limit }).pipe(storeOperation(sql, "readers", "read the logs of an agent")),
      agent: (agentId) =>
        agent(agentId).pipe(
          storeOperation(sql, "readers", "read the lifecycle of an agent"),
          Effect.map(Option.map(toAgent))
        )
    })
  })
)

const toAgent = ({ ownerId, ...lifecycle }: typeof AgentRow.Type) => ({ ownerId, lifecycle })
