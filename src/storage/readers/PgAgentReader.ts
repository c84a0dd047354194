/** Reads agents from Postgres, for users: one statement for an agent with its apps, scripts and sources of logs. */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AgentId } from "../../domain/Ids.ts"
import { Agent, AgentReader, healthOf } from "../../watch/AgentReader.ts"
import { agentStatus, type Options } from "../internal/agentStatus.ts"
import { storeOperation } from "../internal/storeOperation.ts"

const { DateTimeUtcFromDate } = Schema
const Time = Schema.OptionFromNullOr(DateTimeUtcFromDate)

const Row = Schema.Struct({
  ...Agent.mapFields(({ health: _, ...fields }) => fields).fields,
  created_at: DateTimeUtcFromDate,
  updated_at: DateTimeUtcFromDate,
  first_connected_at: Time,
  last_connected_at: Time,
  disconnected_at: Time,
  started_at: Time,
  ready_at: Time
})

/** The most statuses of an app. */
const maxStatuses = 100

export const layer = (options: Options = {}): Layer.Layer<AgentReader, never, SqlClient.SqlClient> =>
  Layer.effect(
    AgentReader,
    SqlClient.SqlClient.useSync((sql) => {
      const statuses = sql`
        SELECT coalesce(jsonb_agg(status ORDER BY status.created_at DESC), '[]')
        FROM (
          SELECT
            id, created_at, workspace_id, agent_id, app_id, state, message, coalesce(uri, '') AS uri, '' AS icon,
            state IN ('complete', 'failure') AS needs_user_attention
          FROM workspace_app_statuses
          WHERE app_id = app.id
          ORDER BY created_at DESC
          LIMIT ${maxStatuses}
        ) AS status`

      const apps = sql`
        SELECT coalesce(jsonb_agg(jsonb_build_object(
          'id', id, 'url', url, 'external', external, 'slug', slug, 'display_name', display_name, 'command', command,
          'icon', icon, 'subdomain', subdomain,
          'subdomain_name', CASE
            WHEN subdomain THEN concat_ws('--', slug, agent.name, workspace.name, owner.username)
            ELSE ''
          END,
          'sharing_level', sharing_level,
          'healthcheck', jsonb_build_object(
            'url', healthcheck_url, 'interval', healthcheck_interval_seconds, 'threshold', healthcheck_threshold
          ),
          'health', health, 'group', display_group, 'hidden', hidden, 'open_in', open_in, 'tooltip', tooltip,
          'statuses', (${statuses})
        ) ORDER BY display_order, slug), '[]')
        FROM workspace_apps AS app WHERE agent_id = agent.id`

      const scripts = sql`
        SELECT coalesce(jsonb_agg(jsonb_build_object(
          'id', id, 'log_source_id', log_source_id, 'log_path', log_path, 'display_name', display_name,
          'script', script, 'cron', cron, 'run_on_start', run_on_start, 'run_on_stop', run_on_stop,
          'start_blocks_login', start_blocks_login, 'timeout', timeout_seconds * 1e9
        ) ORDER BY created_at, id), '[]')
        FROM workspace_agent_scripts WHERE workspace_agent_id = agent.id`

      const logSources = sql`
        SELECT coalesce(jsonb_agg(source ORDER BY created_at, id), '[]')
        FROM workspace_agent_log_sources AS source WHERE workspace_agent_id = agent.id`

      const find = SqlSchema.findOneOption({
        Request: AgentId,
        Result: Row,
        execute: (agentId) => sql`
          SELECT
            agent.id, agent.parent_id, agent.name, agent.workspace_build_id AS resource_id, agent.api_version,
            agent.architecture, agent.operating_system, agent.version, agent.directory, agent.expanded_directory,
            agent.created_at, agent.updated_at, agent.first_connected_at, agent.last_connected_at,
            agent.disconnected_at, agent.started_at, agent.ready_at, ${agentStatus(sql, options)} AS status,
            agent.lifecycle_state, agent.logs_length, agent.logs_overflowed, (${logSources}) AS log_sources,
            (${scripts}) AS scripts, (${apps}) AS apps, agent.display_apps, agent.environment_variables,
            agent.subsystems, agent.connection_timeout_seconds, agent.troubleshooting_url,
            CASE
              WHEN EXISTS (
                SELECT FROM workspace_agent_scripts WHERE workspace_agent_id = agent.id AND start_blocks_login
              ) THEN 'blocking'
              ELSE 'non-blocking'
            END AS startup_script_behavior
          FROM workspace_agents AS agent
          JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
          JOIN workspaces AS workspace ON workspace.id = build.workspace_id
          JOIN users AS owner ON owner.id = workspace.owner_id
          WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted`
      })

      return AgentReader.of({
        find: (agentId) =>
          find(agentId).pipe(storeOperation(sql, "readers", "read an agent"), Effect.map(Option.map(toAgent)))
      })
    })
  )

const toAgent = (row: typeof Row.Type): Agent => ({ ...row, health: healthOf(row) })
