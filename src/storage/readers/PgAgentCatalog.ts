/**
 * Finds agents for users in Postgres.
 *
 * - An agent is connected while its replica records heartbeats. An agent without a heartbeat for `silentAfter` counts
 *   as disconnected.
 * - Samples are read only for the agents on the requested page.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import {
  AgentCatalog,
  AgentDetails,
  AgentSummary,
  Connection,
  type Query,
  type SortKey
} from "../../dashboard/AgentCatalog.ts"
import { AgentId } from "../../domain/Ids.ts"
import type { User } from "../../domain/User.ts"
import { agentStatus, type Options } from "../internal/agentStatus.ts"
import * as AgentTailnet from "../internal/agentTailnet.ts"
import { storeOperation } from "../internal/storeOperation.ts"

const { DateTimeUtcFromDate } = Schema
const Time = Schema.NullOr(DateTimeUtcFromDate)

const SummaryRow = Schema.Struct({ ...AgentSummary.fields, reported_at: Time })

const DetailsRow = Schema.Struct({
  ...AgentDetails.mapFields(({ connections: _, tailnet: __, ...fields }) => fields).fields,
  reported_at: Time,
  created_at: DateTimeUtcFromDate,
  started_at: Time,
  ready_at: Time,
  first_connected_at: Time,
  last_connected_at: Time,
  disconnected_at: Time
})

const ConnectionRow = Schema.Struct({
  ...Connection.fields,
  connected_at: DateTimeUtcFromDate,
  disconnected_at: Time
})

const decodePage = Schema.decodeUnknownEffect(Schema.Array(SummaryRow))

export const layer = (options: Options = {}): Layer.Layer<AgentCatalog, never, SqlClient.SqlClient> =>
  Layer.effect(AgentCatalog, make(options))

const make = Effect.fnUntraced(function* (options: Options) {
  const sql = yield* SqlClient.SqlClient

  const status = agentStatus(sql, options)

  /** Selects the agents that a user may see and that match the words of a search. */
  const matching = ({ id, isAdmin }: User, search: string) => sql`
      SELECT
        agent.id, agent.name, workspace.name AS workspace, owner.username AS owner, ${status} AS status,
        agent.lifecycle_state AS lifecycle
      FROM workspaces AS workspace
      JOIN users AS owner ON owner.id = workspace.owner_id
      JOIN LATERAL (
        SELECT id FROM workspace_builds WHERE workspace_id = workspace.id ORDER BY build_number DESC LIMIT 1
      ) AS build ON true
      JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id AND NOT agent.deleted
      WHERE NOT workspace.deleted
        AND (${isAdmin} OR workspace.owner_id = ${id})
        AND NOT EXISTS (
          SELECT FROM unnest(${words(search)}::text[]) AS word
          WHERE strpos(lower(concat_ws(' ', agent.name, workspace.name, owner.username, agent.id)), word) = 0
            AND NOT starts_with(${status}, word)
            AND NOT starts_with(agent.lifecycle_state, word)
        )`

  /** Returns the column to sort by. A number at the end of a name is compared as a number. */
  const column = (key: SortKey) => (key === "name" ? sql`regexp_replace(name, '[0-9]+$', '')` : sql`${sql(key)}`)
  const direction = (order: Query["order"]) => sql.literal(order === "desc" ? "DESC" : "ASC")

  const newest = sql`
      SELECT
        max(collected_at) FILTER (WHERE collected_at > '0001-01-02') AS reported_at,
        (count(*) FILTER (WHERE error <> ''))::int4 AS errors
      FROM workspace_agent_metadata AS stored`

  const page = (viewer: User, { limit, offset, order, search, sort }: Query) => sql`
      SELECT page.*, newest.reported_at, newest.errors
      FROM (
        SELECT agent.*, row_number() OVER (ORDER BY
          ${column(sort)} ${direction(order)},
          length(substring(name FROM '[0-9]+$')) ${direction(order)},
          name ${direction(order)}, workspace, owner, id) AS place
        FROM (${matching(viewer, search)}) AS agent
        ORDER BY place
        LIMIT ${limit} OFFSET ${offset}
      ) AS page
      LEFT JOIN LATERAL (${newest} WHERE stored.workspace_agent_id = page.id) AS newest ON true
      ORDER BY place`

  const count = (viewer: User, search: string) =>
    sql<{ total: number }>`SELECT count(*)::int4 AS total FROM (${matching(viewer, search)}) AS agent`

  const details = SqlSchema.findOneOption({
    Request: AgentId,
    Result: DetailsRow,
    execute: (agentId) => sql`
        SELECT
          agent.id, agent.name, workspace.name AS workspace, owner.username AS owner, ${status} AS status,
          agent.lifecycle_state AS lifecycle, newest.reported_at, newest.errors,
          agent.operating_system, agent.architecture, agent.version,
          coalesce(nullif(agent.expanded_directory, ''), agent.directory) AS directory,
          agent.created_at, agent.started_at, agent.ready_at,
          agent.first_connected_at, agent.last_connected_at, agent.disconnected_at
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        JOIN users AS owner ON owner.id = workspace.owner_id
        LEFT JOIN LATERAL (${newest} WHERE stored.workspace_agent_id = agent.id) AS newest ON true
        WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted`
  })

  const connections = SqlSchema.findAll({
    Request: AgentId,
    Result: ConnectionRow,
    execute: (agentId) => sql`
        SELECT log.type, log.app_name AS app, host(log.ip) AS ip, log.connect_time AS connected_at,
          log.disconnect_time AS disconnected_at, log.disconnect_reason AS reason
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN connection_logs AS log ON log.workspace_id = build.workspace_id AND log.agent_name = agent.name
        WHERE agent.id = ${agentId}
        ORDER BY log.connect_time DESC
        LIMIT 50`
  })

  const tailnet = AgentTailnet.make(sql)

  return AgentCatalog.of({
    list: Effect.fn("PgAgentCatalog.list")(
      function* (viewer, query) {
        const agents = yield* Effect.flatMap(page(viewer, query), decodePage)
        const [counted] = yield* count(viewer, query.search)
        return { total: counted?.total ?? 0, agents }
      },
      storeOperation(sql, "readers", "list agents")
    ),

    find: Effect.fn("PgAgentCatalog.find")(
      function* (agentId) {
        const found = yield* details(agentId)
        if (Option.isNone(found)) return Option.none()
        return Option.some({
          ...found.value,
          connections: yield* connections(agentId),
          tailnet: yield* tailnet(agentId)
        })
      },
      storeOperation(sql, "readers", "read an agent")
    )
  })
})

/** Returns the words of a search, without empty ones. */
const words = (search: string): ReadonlyArray<string> =>
  search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
