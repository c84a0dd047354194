/**
 * Reads the declarations of agents from Postgres. Lists are in the order in which people see them.
 *
 * Each part of a manifest is one statement for all agents that ask for it while another such statement runs, and for
 * any number of calls of one agent.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type SqlError, type Statement } from "effect/sql"
import {
  DeclaredAgent,
  DeclaredApp,
  Devcontainer,
  ManifestStore,
  MetadataDescription,
  Script
} from "../agentapi/ports/ManifestStore.ts"
import type { AgentId } from "../domain/Ids.ts"
import { coalesced, coalescedRows } from "./internal/coalesced.ts"
import { array } from "./internal/column.ts"
import { declareKeys } from "./internal/declareKeys.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { StoreError } from "../domain/StoreError.ts"

/** The most agents in one statement: their scripts may be long. */
const maxAgents = 200

type Owned = { readonly ownerId: AgentId }

export const layer: Layer.Layer<ManifestStore, never, SqlClient.SqlClient> = Layer.effect(
  ManifestStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const declared = <A>(
      operation: string,
      row: Schema.ConstraintDecoder<A>,
      statement: (isOneOf: Statement.Fragment) => Effect.Effect<ReadonlyArray<Owned>, SqlError.SqlError>
    ) =>
      coalescedRows(sql, {
        share: "calls",
        operation,
        row,
        execute: (ids: ReadonlyArray<AgentId>) => statement(sql`= ANY (${array(PgTypes.OID.uuid, ids)})`),
        maxOwners: maxAgents
      })

    const agents = yield* declared(
      "read an agent",
      DeclaredAgent,
      (isOneOf) => sql<Owned>`
        SELECT id AS "ownerId", environment_variables, directory, motd_file AS motd_path
        FROM workspace_agents
        WHERE id ${isOneOf}`
    )

    const apps = yield* declared(
      "read the apps of an agent",
      DeclaredApp,
      (isOneOf) => sql<Owned>`
        SELECT
          agent_id AS "ownerId", id, url, external, slug, display_name, command, icon, subdomain, sharing_level, health,
          hidden,
          jsonb_build_object(
            'url', healthcheck_url,
            'interval', healthcheck_interval_seconds,
            'threshold', healthcheck_threshold
          ) AS healthcheck
        FROM workspace_apps
        WHERE agent_id ${isOneOf}
        ORDER BY display_order, slug`
    )

    const scripts = yield* declared(
      "read the scripts of an agent",
      Script,
      (isOneOf) => sql<Owned>`
        SELECT
          workspace_agent_id AS "ownerId", id, log_source_id, log_path, display_name, script, cron, run_on_start,
          run_on_stop, start_blocks_login, timeout_seconds AS timeout
        FROM workspace_agent_scripts
        WHERE workspace_agent_id ${isOneOf}
        ORDER BY created_at, id`
    )

    const metadata = yield* declared(
      "read the metadata of an agent",
      MetadataDescription,
      // intervals are stored in nanoseconds
      (isOneOf) => sql<Owned>`
        SELECT
          workspace_agent_id AS "ownerId", key, display_name, script, interval / 1e9::float8 AS interval,
          timeout / 1e9::float8 AS timeout
        FROM workspace_agent_metadata_descriptions
        WHERE workspace_agent_id ${isOneOf}
        ORDER BY display_order, key`
    )

    const devcontainers = yield* declared("read the devcontainers of an agent", Devcontainer, devcontainersOf(sql))

    const secrets = yield* declared("read the secrets of an agent", SecretRow, secretsOf(sql))

    const declaredKeys = yield* coalesced("read the declared keys of agents", (agentIds: ReadonlyArray<AgentId>) =>
      sql<{ agentId: AgentId; keys: ReadonlyArray<string> }>`
        SELECT workspace_agent_id AS "agentId", array_agg(key) AS keys
        FROM workspace_agent_metadata_descriptions
        WHERE workspace_agent_id = ANY (${array(PgTypes.OID.uuid, agentIds)})
        GROUP BY workspace_agent_id`.pipe(
        Effect.map((rows) => {
          const byAgent = new Map(rows.map(({ agentId, keys }) => [agentId, new Set(keys)]))
          return (agentId: AgentId): ReadonlySet<string> => byAgent.get(agentId) ?? new Set()
        }),
        storeOperation(sql, "logins", "read the declared keys of agents")
      )
    )

    const agent = (id: AgentId) =>
      Effect.filterOrElse(
        Effect.map(agents(id), ([agent]) => agent),
        (agent) => agent !== undefined,
        () =>
          Effect.fail(
            new StoreError({
              operation: "read an agent",
              reason: "unavailable",
              cause: new Error(`there is no agent ${id}`)
            })
          )
      )

    return ManifestStore.of({
      agent,
      apps,
      declareKeys: declareKeys(sql),
      declaredKeys,
      devcontainers,
      metadata,
      scripts,
      secrets
    })
  })
)

const SecretRow = Schema.Struct({
  env_name: Schema.String,
  file_path: Schema.String,
  value: Schema.RedactedFromValue(Schema.Uint8Array, { label: "secret" })
})

/** Reads each secret once, however many agents of its user ask. */
const secretsOf = (sql: SqlClient.SqlClient) => (isOneOf: Statement.Fragment) =>
  sql<Omit<Owned, "ownerId"> & { readonly agent_ids: ReadonlyArray<AgentId> }>`
    SELECT
      secret.env_name, secret.file_path, secret.value,
      (
        SELECT array_agg(agent.id)
        FROM workspaces AS workspace
        JOIN workspace_builds AS build ON build.workspace_id = workspace.id
        JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id
        WHERE workspace.owner_id = secret.user_id AND agent.id ${isOneOf}
      ) AS agent_ids
    FROM user_secrets AS secret
    WHERE secret.user_id IN (
      SELECT workspace.owner_id
      FROM workspace_agents AS agent
      JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
      JOIN workspaces AS workspace ON workspace.id = build.workspace_id
      WHERE agent.id ${isOneOf}
    )
    ORDER BY secret.name`.pipe(
    Effect.map((rows) => rows.flatMap(({ agent_ids, ...row }) => agent_ids.map((ownerId) => ({ ownerId, ...row }))))
  )

const devcontainersOf = (sql: SqlClient.SqlClient) => (isOneOf: Statement.Fragment) =>
  sql<Owned & { readonly subagent_id: AgentId | null }>`
    SELECT
      container.workspace_agent_id AS "ownerId", container.id, container.name, container.workspace_folder,
      container.config_path, child.id AS subagent_id
    FROM workspace_agent_devcontainers AS container
    LEFT JOIN workspace_agents AS child
      ON child.id = container.subagent_id AND child.parent_id = container.workspace_agent_id AND NOT child.deleted
    WHERE container.workspace_agent_id ${isOneOf}
    ORDER BY container.created_at, container.id`.pipe(
    Effect.map((rows) => rows.map(({ subagent_id, ...row }) => (subagent_id === null ? row : { ...row, subagent_id })))
  )
