/**
 * Stores the declarations of agents: keys, apps, scripts and monitors.
 *
 * - Any number of agents is written by the same few statements.
 * - A declaration that replaces one of the same name keeps its id, its health and its state.
 */
import { PgTypes } from "@effect/sql-pg"
import { Duration, Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import {
  type AppDeclaration,
  apps,
  type Monitor,
  MonitorsDeclaration,
  type ScriptDeclaration,
  scripts
} from "../../../admin/AgentDeclaration.ts"
import type { Change, Declarations } from "../../../admin/Directory.ts"
import { seconds } from "../../../domain/Fields.ts"
import { AgentId, WorkspaceId } from "../../../domain/Ids.ts"
import type { MetadataDescription } from "../../../domain/Metadata.ts"
import { array, column } from "../column.ts"

/** An agent with the kinds of declarations to write. */
type Declared = Change<Declarations> & { readonly id: AgentId }

const Details = Schema.Struct({
  id: AgentId,
  name: Schema.String,
  workspace: WorkspaceId,
  metadata: Schema.Array(
    Schema.Struct({
      key: Schema.String,
      displayName: Schema.String,
      script: Schema.String,
      interval: seconds,
      timeout: seconds,
      displayOrder: Schema.Int
    })
  ),
  apps,
  scripts,
  monitors: MonitorsDeclaration
})

export const make = (sql: SqlClient.SqlClient) => {
  const { putApps, putMemoryMonitors, putMetadata, putScripts, putVolumeMonitors } = makeWrites(sql)
  return {
    /** Returns an agent with everything that is declared of it. */
    read: makeRead(sql),

    /** Adds declarations, and changes those of the same names. */
    put: Effect.fnUntraced(function* (agents: ReadonlyArray<Declared>) {
      const rows = <A extends object>(of: (agent: Declared) => ReadonlyArray<A> | undefined) =>
        agents.flatMap((agent) => (of(agent) ?? []).map((row) => ({ id: agent.id, ...row })))
      yield* putMetadata(rows(({ metadata }) => metadata))
      yield* putApps(rows(({ apps }) => apps))
      yield* putScripts(rows(({ scripts }) => scripts))
      yield* putMemoryMonitors(rows(({ monitors }) => (monitors?.memory ? [monitors.memory] : [])))
      yield* putVolumeMonitors(rows(({ monitors }) => monitors?.volumes))
    }),

    removeOthers: makeRemoveOthers(sql)
  }
}

const makeRead = (sql: SqlClient.SqlClient) =>
  SqlSchema.findOneOption({
    Request: AgentId,
    Result: Details,
    execute: (id) => sql`
      SELECT
        agent.id,
        agent.name,
        workspace.id AS workspace,
        coalesce((
          SELECT json_agg(json_build_object(
            'key', key, 'displayName', display_name, 'script', script, 'interval', interval / 1e9::float8,
            'timeout', timeout / 1e9::float8, 'displayOrder', display_order
          ) ORDER BY display_order, key)
          FROM workspace_agent_metadata_descriptions WHERE workspace_agent_id = agent.id
        ), '[]') AS metadata,
        coalesce((
          SELECT json_agg(json_build_object(
            'slug', slug, 'display_name', display_name, 'display_group', display_group,
            'display_order', display_order, 'url', url, 'command', command, 'icon', icon, 'tooltip', tooltip,
            'external', external, 'subdomain', subdomain, 'hidden', hidden, 'sharing_level', sharing_level,
            'open_in', open_in, 'healthcheck', json_build_object(
              'url', healthcheck_url,
              'interval', healthcheck_interval_seconds,
              'threshold', healthcheck_threshold
            )
          ) ORDER BY display_order, slug)
          FROM workspace_apps WHERE agent_id = agent.id
        ), '[]') AS apps,
        coalesce((
          SELECT json_agg(json_build_object(
            'display_name', display_name, 'script', script, 'log_path', log_path, 'cron', cron,
            'run_on_start', run_on_start, 'run_on_stop', run_on_stop, 'start_blocks_login', start_blocks_login,
            'timeout', timeout_seconds
          ) ORDER BY created_at, id)
          FROM workspace_agent_scripts WHERE workspace_agent_id = agent.id
        ), '[]') AS scripts,
        json_build_object(
          'memory', (
            SELECT json_build_object('enabled', enabled, 'threshold', threshold)
            FROM workspace_agent_memory_resource_monitors WHERE agent_id = agent.id
          ),
          'volumes', coalesce((
            SELECT json_agg(json_build_object('path', path, 'enabled', enabled, 'threshold', threshold) ORDER BY path)
            FROM workspace_agent_volume_resource_monitors WHERE agent_id = agent.id
          ), '[]')
        ) AS monitors
      FROM workspace_agents AS agent
      JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
      JOIN workspaces AS workspace ON workspace.id = build.workspace_id
      WHERE agent.id = ${id} AND NOT agent.deleted AND NOT workspace.deleted`
  })

type Rows<A> = ReadonlyArray<A & { readonly id: AgentId }>

const makeWrites = (sql: SqlClient.SqlClient) => ({
  putMetadata: (rows: Rows<MetadataDescription>) => sql`
    WITH described AS (
      INSERT INTO workspace_agent_metadata_descriptions
        (workspace_agent_id, key, display_name, script, interval, timeout, display_order)
      SELECT *
      FROM unnest(
        ${column(PgTypes.OID.uuid, rows, ({ id }) => id)}::uuid[],
        ${column(PgTypes.OID.text, rows, ({ key }) => key)}::text[],
        ${column(PgTypes.OID.text, rows, ({ displayName }) => displayName)}::text[],
        ${column(PgTypes.OID.text, rows, ({ script }) => script)}::text[],
        ${column(PgTypes.OID.int8, rows, ({ interval }) => Duration.toNanosUnsafe(interval))}::int8[],
        ${column(PgTypes.OID.int8, rows, ({ timeout }) => Duration.toNanosUnsafe(timeout))}::int8[],
        ${column(PgTypes.OID.int4, rows, ({ displayOrder }) => displayOrder)}::int4[]
      )
      ON CONFLICT (workspace_agent_id, key) DO UPDATE SET
        display_name = excluded.display_name,
        script = excluded.script,
        interval = excluded.interval,
        timeout = excluded.timeout,
        display_order = excluded.display_order
      RETURNING workspace_agent_id, key
    )
    INSERT INTO workspace_agent_metadata (workspace_agent_id, key) SELECT workspace_agent_id, key FROM described
    ON CONFLICT DO NOTHING`,

  putApps: (rows: Rows<AppDeclaration>) => sql`
    INSERT INTO workspace_apps AS stored (
      id, agent_id, slug, display_name, display_group, display_order, url, command, icon, tooltip, external, subdomain,
      hidden, sharing_level, open_in, healthcheck_url, healthcheck_interval_seconds, healthcheck_threshold, health
    )
    SELECT
      gen_random_uuid(), id, slug, display_name, display_group, display_order, url, command, icon, tooltip, external,
      subdomain, hidden, sharing_level, open_in, healthcheck ->> 'url', (healthcheck ->> 'interval')::integer,
      (healthcheck ->> 'threshold')::integer, CASE healthcheck ->> 'url' WHEN '' THEN 'disabled' ELSE 'initializing' END
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS app (
      id uuid, slug text, display_name text, display_group text, display_order integer, url text, command text,
      icon text, tooltip text, external boolean, subdomain boolean, hidden boolean, sharing_level text, open_in text,
      healthcheck jsonb
    )
    ON CONFLICT (agent_id, slug) DO UPDATE SET
      display_name = excluded.display_name,
      display_group = excluded.display_group,
      display_order = excluded.display_order,
      url = excluded.url,
      command = excluded.command,
      icon = excluded.icon,
      tooltip = excluded.tooltip,
      external = excluded.external,
      subdomain = excluded.subdomain,
      hidden = excluded.hidden,
      sharing_level = excluded.sharing_level,
      open_in = excluded.open_in,
      healthcheck_url = excluded.healthcheck_url,
      healthcheck_interval_seconds = excluded.healthcheck_interval_seconds,
      healthcheck_threshold = excluded.healthcheck_threshold,
      health = CASE WHEN stored.healthcheck_url = excluded.healthcheck_url THEN stored.health ELSE excluded.health END`,

  putScripts: (rows: Rows<ScriptDeclaration>) => sql`
    WITH script AS (
      SELECT * FROM ROWS FROM (jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS (
        id uuid, display_name text, script text, log_path text, cron text, run_on_start boolean, run_on_stop boolean,
        start_blocks_login boolean, timeout integer
      )) WITH ORDINALITY AS script (
        id, display_name, script, log_path, cron, run_on_start, run_on_stop, start_blocks_login, timeout, place
      )
    ), changed AS (
      UPDATE workspace_agent_scripts AS stored SET
        script = script.script,
        log_path = script.log_path,
        cron = script.cron,
        run_on_start = script.run_on_start,
        run_on_stop = script.run_on_stop,
        start_blocks_login = script.start_blocks_login,
        timeout_seconds = script.timeout
      FROM script
      WHERE stored.workspace_agent_id = script.id AND stored.display_name = script.display_name
      RETURNING stored.workspace_agent_id, stored.display_name
    ), added AS (
      INSERT INTO workspace_agent_scripts (
        id, workspace_agent_id, log_source_id, display_name, script, log_path, cron, run_on_start, run_on_stop,
        start_blocks_login, timeout_seconds, created_at
      )
      SELECT
        gen_random_uuid(), id, gen_random_uuid(), display_name, script, log_path, cron, run_on_start, run_on_stop,
        start_blocks_login, timeout, now() + place * interval '1 microsecond'
      FROM script
      WHERE (id, display_name) NOT IN (SELECT workspace_agent_id, display_name FROM changed)
      ORDER BY place
      RETURNING workspace_agent_id, log_source_id, display_name
    )
    INSERT INTO workspace_agent_log_sources (workspace_agent_id, id, display_name)
    SELECT workspace_agent_id, log_source_id, display_name FROM added`,

  putMemoryMonitors: (rows: Rows<Monitor>) => sql`
    INSERT INTO workspace_agent_memory_resource_monitors (agent_id, enabled, threshold)
    SELECT id, enabled, threshold
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS monitor (id uuid, enabled boolean, threshold integer)
    ON CONFLICT (agent_id) DO UPDATE
    SET enabled = excluded.enabled, threshold = excluded.threshold, updated_at = now()`,

  putVolumeMonitors: (rows: Rows<Monitor & { readonly path: string }>) => sql`
    INSERT INTO workspace_agent_volume_resource_monitors (agent_id, path, enabled, threshold)
    SELECT id, path, enabled, threshold
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS monitor (id uuid, path text, enabled boolean, threshold integer)
    ON CONFLICT (agent_id, path) DO UPDATE
    SET enabled = excluded.enabled, threshold = excluded.threshold, updated_at = now()`
})

/** Removes the declarations of an agent whose names are not in the change. A kind that is left out stays. */
const makeRemoveOthers = (sql: SqlClient.SqlClient) =>
  Effect.fnUntraced(function* (id: AgentId, { apps, metadata, monitors, scripts }: Change<Declarations>) {
    const remove = (table: string, agent: string, name: string, kept: ReadonlyArray<string> | undefined) =>
      kept === undefined
        ? Effect.void
        : sql`
            DELETE FROM ${sql(table)}
            WHERE ${sql(agent)} = ${id} AND ${sql(name)} <> ALL (${array(PgTypes.OID.text, kept)}::text[])`
    yield* remove(
      "workspace_agent_metadata_descriptions",
      "workspace_agent_id",
      "key",
      metadata?.map(({ key }) => key)
    )
    yield* remove(
      "workspace_apps",
      "agent_id",
      "slug",
      apps?.map(({ slug }) => slug)
    )
    yield* remove(
      "workspace_agent_scripts",
      "workspace_agent_id",
      "display_name",
      scripts?.map(({ display_name }) => display_name)
    )
    yield* remove(
      "workspace_agent_volume_resource_monitors",
      "agent_id",
      "path",
      monitors?.volumes.map(({ path }) => path)
    )
    if (monitors?.memory === null) {
      yield* sql`DELETE FROM workspace_agent_memory_resource_monitors WHERE agent_id = ${id}`
    }
  })
