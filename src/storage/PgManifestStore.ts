/** Reads the declarations of agents from Postgres. Lists are in the order in which people see them. */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import {
  DeclaredAgent,
  DeclaredApp,
  Devcontainer,
  ManifestStore,
  MetadataDescription,
  Script
} from "../agentapi/ports/ManifestStore.ts"
import { AgentId } from "../domain/Ids.ts"
import { coalesced } from "./internal/coalesced.ts"
import { column } from "./internal/column.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { StoreError } from "../domain/StoreError.ts"

export const layer: Layer.Layer<ManifestStore, never, SqlClient.SqlClient> = Layer.effect(
  ManifestStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const findAgent = SqlSchema.findOne({
      Request: AgentId,
      Result: DeclaredAgent,
      execute: (id) => sql`
        SELECT environment_variables, directory, motd_file AS motd_path FROM workspace_agents WHERE id = ${id}`
    })

    const findApps = SqlSchema.findAll({
      Request: AgentId,
      Result: DeclaredApp,
      execute: (id) => sql`
        SELECT
          id, url, external, slug, display_name, command, icon, subdomain, sharing_level, health, hidden,
          jsonb_build_object(
            'url', healthcheck_url,
            'interval', healthcheck_interval_seconds,
            'threshold', healthcheck_threshold
          ) AS healthcheck
        FROM workspace_apps
        WHERE agent_id = ${id}
        ORDER BY display_order, slug`
    })

    const findScripts = SqlSchema.findAll({
      Request: AgentId,
      Result: Script,
      execute: (id) => sql`
        SELECT
          id, log_source_id, log_path, display_name, script, cron, run_on_start, run_on_stop, start_blocks_login,
          timeout_seconds AS timeout
        FROM workspace_agent_scripts
        WHERE workspace_agent_id = ${id}
        ORDER BY created_at, id`
    })

    const findMetadata = SqlSchema.findAll({
      Request: AgentId,
      Result: MetadataDescription,
      // intervals are stored in nanoseconds
      execute: (id) => sql`
        SELECT key, display_name, script, interval / 1e9::float8 AS interval, timeout / 1e9::float8 AS timeout
        FROM workspace_agent_metadata_descriptions
        WHERE workspace_agent_id = ${id}
        ORDER BY display_order, key`
    })

    const findDevcontainers = SqlSchema.findAll({
      Request: AgentId,
      Result: Devcontainer,
      execute: (id) => sql`
        SELECT id, name, workspace_folder, config_path
        FROM workspace_agent_devcontainers
        WHERE workspace_agent_id = ${id}
        ORDER BY created_at, id`
    })

    const declaredKeys = yield* coalesced("ManifestStore.declaredKeys", (agentIds) =>
      sql<{ agentId: AgentId; keys: ReadonlyArray<string> }>`
        SELECT workspace_agent_id AS "agentId", array_agg(key) AS keys
        FROM workspace_agent_metadata_descriptions
        WHERE workspace_agent_id = ANY (${column(PgTypes.OID.uuid, agentIds, (id) => id)})
        GROUP BY workspace_agent_id`.pipe(
        Effect.map((rows) => {
          const byAgent = new Map(rows.map(({ agentId, keys }) => [agentId, new Set(keys)]))
          return (agentId: AgentId): ReadonlySet<string> => byAgent.get(agentId) ?? new Set()
        }),
        storeOperation(sql, "logins", "read the declared keys of agents")
      )
    )

    return ManifestStore.of({
      declaredKeys,
      agent: (id) =>
        findAgent(id).pipe(
          storeOperation(sql, "calls", "read an agent"),
          Effect.catchTag("NoSuchElementError", (cause) =>
            Effect.fail(new StoreError({ operation: "read an agent", reason: "unavailable", cause }))
          )
        ),
      apps: (id) => findApps(id).pipe(storeOperation(sql, "calls", "read the apps of an agent")),
      scripts: (id) => findScripts(id).pipe(storeOperation(sql, "calls", "read the scripts of an agent")),
      metadata: (id) => findMetadata(id).pipe(storeOperation(sql, "calls", "read the metadata of an agent")),
      devcontainers: (id) =>
        findDevcontainers(id).pipe(storeOperation(sql, "calls", "read the devcontainers of an agent"))
    })
  })
)
