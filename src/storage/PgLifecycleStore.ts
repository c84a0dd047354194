/**
 * Stores the lifecycle of agents in Postgres.
 *
 * Each step is one statement. When several replicas complete the startup of a build at the same time, only one of them
 * is told so: the others wait for the row and find the completion recorded.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { BuildId } from "../domain/Ids.ts"
import { prebuildsUserId } from "../domain/Workspace.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { array } from "./internal/column.ts"
import { LifecycleStore } from "../agentapi/ports/LifecycleStore.ts"

export const layer: Layer.Layer<LifecycleStore, never, SqlClient.SqlClient> = Layer.effect(
  LifecycleStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const complete = SqlSchema.findOneOption({
      Request: BuildId,
      Result: Schema.Struct({
        createdAt: Schema.DateTimeUtcFromDate,
        readyAt: Schema.DateTimeUtcFromDate,
        templateName: Schema.String,
        organizationName: Schema.String,
        transition: Schema.Literals(["start", "stop", "delete"]),
        status: Schema.Literals(["success", "timeout", "error"]),
        isPrebuild: Schema.Boolean
      }),
      execute: (id) => sql`
        UPDATE workspace_builds AS build SET agents_ready_at = agents.ready_at
        FROM
          (
            SELECT
              max(ready_at) AS ready_at,
              bool_and(ready_at IS NOT NULL) AS ready,
              CASE
                WHEN bool_or(lifecycle_state = 'start_error') THEN 'error'
                WHEN bool_or(lifecycle_state = 'start_timeout') THEN 'timeout'
                ELSE 'success'
              END AS status
            FROM workspace_agents
            WHERE workspace_build_id = ${id} AND parent_id IS NULL AND NOT deleted
          ) AS agents,
          workspaces AS workspace
          JOIN templates AS template ON template.id = workspace.template_id
          JOIN organizations AS organization ON organization.id = template.organization_id
        WHERE build.id = ${id}
          AND build.agents_ready_at IS NULL
          AND agents.ready
          AND workspace.id = build.workspace_id
        RETURNING
          build.created_at AS "createdAt",
          agents.ready_at AS "readyAt",
          template.name AS "templateName",
          organization.name AS "organizationName",
          build.transition,
          agents.status,
          workspace.owner_id = ${prebuildsUserId} AS "isPrebuild"`
    })

    return LifecycleStore.of({
      change: (agentId, { changedAt, readyAt, startedAt, state }) => {
        const at = DateTime.toDateUtc(changedAt)
        return sql`
          UPDATE workspace_agents SET
            lifecycle_state = ${state},
            started_at = CASE ${startedAt}::text
              WHEN 'set' THEN ${at}
              WHEN 'set if missing' THEN coalesce(started_at, ${at})
              ELSE started_at
            END,
            ready_at = CASE ${readyAt}::text WHEN 'set' THEN ${at} WHEN 'keep' THEN ready_at END,
            updated_at = now()
          WHERE id = ${agentId}`.pipe(Effect.asVoid, storeOperation(sql, "calls", "note how far an agent has come"))
      },

      completeStartup: (buildId) => complete(buildId).pipe(storeOperation(sql, "calls", "read how long a build took")),

      introduce: (agentId, { apiVersion, expandedDirectory, subsystems, version }) =>
        sql`
          UPDATE workspace_agents SET
            version = ${version},
            api_version = ${apiVersion},
            expanded_directory = ${expandedDirectory},
            subsystems = ${array(PgTypes.OID.text, subsystems)},
            updated_at = now()
          WHERE id = ${agentId}`.pipe(Effect.asVoid, storeOperation(sql, "calls", "note what an agent is"))
    })
  })
)
