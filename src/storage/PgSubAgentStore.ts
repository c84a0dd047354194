/**
 * Stores sub-agents in Postgres. Deletion marks the rows of a sub-agent and of its own sub-agents, and keeps the rows.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AgentId, TemplateId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { column } from "./internal/column.ts"
import { SubAgentStore, sharingLevels } from "../agentapi/ports/SubAgentStore.ts"

const Child = Schema.Struct({ id: AgentId, name: Schema.String, digest: Schema.Uint8Array })

const Change = Schema.Struct({
  parentId: AgentId,
  id: AgentId,
  directory: Schema.String,
  displayApps: Schema.Array(Schema.String)
})

const decodeCreated = Schema.decodeUnknownEffect(
  Schema.Tuple([Schema.Struct({ outcome: Schema.Literals(["created", "name taken", "too many", "token replaced"]) })])
)

export const layer: Layer.Layer<SubAgentStore, never, SqlClient.SqlClient> = Layer.effect(
  SubAgentStore,
  SqlClient.SqlClient.useSync((sql) => SubAgentStore.of({ ...makeAgents(sql), ...makeApps(sql) }))
)

const makeAgents = (sql: SqlClient.SqlClient): Omit<SubAgentStore["Service"], "maxSharingLevel" | "putApps"> => {
  const children = SqlSchema.findAll({
    Request: AgentId,
    Result: Child,
    execute: (parentId) => sql`
      SELECT id, name, auth_token_hash AS digest
      FROM workspace_agents
      WHERE parent_id = ${parentId} AND NOT deleted
      ORDER BY created_at, name`
  })

  const change = SqlSchema.findOneOption({
    Request: Change,
    Result: Child,
    execute: ({ directory, displayApps, id, parentId }) => sql`
      UPDATE workspace_agents SET
        display_apps = ${displayApps}::text[],
        directory = COALESCE(NULLIF(${directory}, ''), directory),
        updated_at = now()
      WHERE id = ${id} AND parent_id = ${parentId} AND NOT deleted
      RETURNING id, name, auth_token_hash AS digest`
  })

  return {
    create: (parent, { architecture, digest, directory, displayApps, id, name, operatingSystem }, maxSubAgents) =>
      Effect.andThen(
        Effect.andThen(
          // makes other sub-agents of the build wait, so that all are counted
          sql`
            SELECT id FROM workspace_builds
            WHERE id = (SELECT workspace_build_id FROM workspace_agents WHERE id = ${parent.id})
            FOR NO KEY UPDATE`,
          // makes a rotation of the parent's token wait, so that the rotation finds the child
          sql`SELECT id FROM workspace_agents WHERE id = ${parent.id} FOR NO KEY UPDATE`
        ),
        sql`
        WITH RECURSIVE above AS (
          SELECT id, parent_id FROM workspace_agents WHERE id = ${parent.id}
          UNION ALL
          SELECT agent.id, agent.parent_id FROM workspace_agents AS agent JOIN above ON agent.id = above.parent_id
        ), below AS (
          SELECT child.id FROM workspace_agents AS child JOIN above ON child.parent_id = above.id
          WHERE above.parent_id IS NULL AND NOT child.deleted
          UNION ALL
          SELECT child.id FROM workspace_agents AS child JOIN below ON child.parent_id = below.id
          WHERE NOT child.deleted
        ), parent AS (
          SELECT * FROM workspace_agents
          WHERE id = ${parent.id} AND auth_token_hash = ${parent.digest} AND NOT deleted
        ), room AS (
          SELECT count(*) < ${maxSubAgents} AS is_left FROM below
        ), created AS (
          INSERT INTO workspace_agents (
            id, parent_id, name, auth_token_hash, directory, architecture, operating_system, display_apps,
            workspace_build_id, connection_timeout_seconds, troubleshooting_url, api_key_scope
          )
          SELECT
            ${id}, id, ${name}, ${digest}, ${directory}, ${architecture}, ${operatingSystem}, ${displayApps}::text[],
            workspace_build_id, connection_timeout_seconds, troubleshooting_url, api_key_scope
          FROM parent, room
          WHERE is_left
          ON CONFLICT DO NOTHING
          RETURNING id
        )
        SELECT CASE
          WHEN EXISTS (SELECT FROM created) THEN 'created'
          WHEN EXISTS (SELECT FROM parent, room WHERE NOT is_left) THEN 'too many'
          WHEN EXISTS (SELECT FROM parent) THEN 'name taken'
          ELSE 'token replaced'
        END AS outcome`
      ).pipe(
        sql.withTransaction,
        Effect.flatMap(decodeCreated),
        Effect.map(([{ outcome }]) => outcome),
        storeOperation(sql, "calls", "create a sub-agent")
      ),

    change: (parentId, child) =>
      change({ parentId, ...child }).pipe(storeOperation(sql, "calls", "change a sub-agent")),

    children: (parentId) => children(parentId).pipe(storeOperation(sql, "calls", "read the sub-agents")),

    rotateTokens: (parent, keys) =>
      sql`
        UPDATE workspace_agents AS child SET auth_token_hash = key.digest, updated_at = now()
        FROM workspace_agents AS parent, unnest(
          ${column(PgTypes.OID.uuid, keys, ({ id }) => id)}::uuid[],
          ${column(PgTypes.OID.bytea, keys, ({ digest }) => digest)}::bytea[]
        ) AS key (id, digest)
        WHERE parent.id = ${parent.id}
          AND parent.auth_token_hash = ${parent.digest}
          AND child.id = key.id
          AND child.parent_id = parent.id
          AND NOT child.deleted
        RETURNING child.id`.pipe(
        Effect.map((changed) => changed.length > 0),
        storeOperation(sql, "calls", "change the tokens of sub-agents")
      ),

    remove: (parentId, id) =>
      sql`
        WITH RECURSIVE removed AS (
          SELECT id FROM workspace_agents WHERE id = ${id} AND parent_id = ${parentId}
          UNION ALL
          SELECT child.id FROM workspace_agents AS child JOIN removed ON child.parent_id = removed.id
        )
        UPDATE workspace_agents SET deleted = true, updated_at = now()
        WHERE id IN (SELECT id FROM removed)
        RETURNING id`.pipe(
        Effect.map((removed) => removed.length > 0),
        storeOperation(sql, "calls", "delete a sub-agent")
      )
  }
}

const makeApps = (sql: SqlClient.SqlClient): Pick<SubAgentStore["Service"], "maxSharingLevel" | "putApps"> => {
  const maxSharingLevel = SqlSchema.findOne({
    Request: TemplateId,
    Result: Schema.Struct({ level: Schema.Literals(sharingLevels) }),
    execute: (id) => sql`SELECT max_port_sharing_level AS level FROM templates WHERE id = ${id}`
  })

  return {
    putApps: (agentId, apps, maxApps) =>
      Effect.andThen(
        // makes other calls with apps of the agent wait, so that all are counted
        sql`SELECT id FROM workspace_agents WHERE id = ${agentId} FOR NO KEY UPDATE`,
        sql<{ readonly slug: string }>`
        WITH known AS (
          SELECT slug FROM workspace_apps WHERE agent_id = ${agentId}
        ), app AS (
          SELECT requested.*, known.slug IS NULL AS is_new,
            count(*) FILTER (WHERE known.slug IS NULL) OVER (ORDER BY requested.ordinality) AS added
          FROM ROWS FROM (
            jsonb_to_recordset(${JSON.stringify(apps)}::jsonb) AS (
              slug text, command text, "displayName" text, "displayGroup" text, "displayOrder" integer,
              external boolean, hidden boolean, icon text, "openIn" text, "sharingLevel" text, subdomain boolean,
              url text, "healthcheckUrl" text, "healthcheckInterval" integer, "healthcheckThreshold" integer,
              health text
            )
          ) WITH ORDINALITY AS requested
          LEFT JOIN known ON known.slug = requested.slug
        )
        INSERT INTO workspace_apps (
          id, agent_id, slug, command, display_name, display_group, display_order, external, hidden, icon, open_in,
          sharing_level, subdomain, url, healthcheck_url, healthcheck_interval_seconds, healthcheck_threshold, health
        )
        SELECT
          gen_random_uuid(), ${agentId}, slug, command, "displayName", "displayGroup", "displayOrder", external, hidden,
          icon, "openIn", "sharingLevel", subdomain, url, "healthcheckUrl", "healthcheckInterval",
          "healthcheckThreshold", health
        FROM app
        WHERE NOT is_new OR (SELECT count(*) FROM known) + added <= ${maxApps}
        ON CONFLICT (agent_id, slug) DO UPDATE SET
          command = excluded.command,
          display_name = excluded.display_name,
          display_group = excluded.display_group,
          display_order = excluded.display_order,
          external = excluded.external,
          hidden = excluded.hidden,
          icon = excluded.icon,
          open_in = excluded.open_in,
          sharing_level = excluded.sharing_level,
          subdomain = excluded.subdomain,
          url = excluded.url,
          healthcheck_url = excluded.healthcheck_url,
          healthcheck_interval_seconds = excluded.healthcheck_interval_seconds,
          healthcheck_threshold = excluded.healthcheck_threshold,
          health = excluded.health
        RETURNING slug`
      ).pipe(
        sql.withTransaction,
        Effect.map((stored) => {
          const slugs = new Set(stored.map(({ slug }) => slug))
          return apps.flatMap(({ slug }) => (slugs.has(slug) ? [] : [slug]))
        }),
        storeOperation(sql, "calls", "create the apps of a sub-agent")
      ),

    maxSharingLevel: (templateId) =>
      maxSharingLevel(templateId).pipe(
        Effect.map(({ level }) => level),
        Effect.catchTag("NoSuchElementError", () => Effect.succeed("owner" as const)),
        storeOperation(sql, "calls", "read what a template allows")
      )
  }
}
