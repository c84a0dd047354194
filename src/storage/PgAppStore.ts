/**
 * Stores the apps of agents in Postgres.
 *
 * One statement adds a status and reads the previous one: it sees the rows as they were when it began.
 */
import { PgTypes } from "@effect/sql-pg"
import { Array, DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { appStates, AppStore, type AppStatus } from "../agentapi/ports/AppStore.ts"
import { AgentId, AppId, type WorkspaceId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { column } from "./internal/column.ts"

export const layer: Layer.Layer<AppStore, never, SqlClient.SqlClient> = Layer.effect(
  AppStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const findHealths = SqlSchema.findAll({
      Request: AgentId,
      Result: Schema.Struct({ id: AppId, health: Schema.String, isChecked: Schema.Boolean }),
      execute: (agentId) => sql`
        SELECT id, health, healthcheck_url <> '' AS "isChecked" FROM workspace_apps WHERE agent_id = ${agentId}`
    })

    const add = (agentId: AgentId, workspaceId: WorkspaceId, status: AppStatus) => sql`
      WITH app AS (
        SELECT app.id, agent.lifecycle_state = 'ready' AS "isAgentReady"
        FROM workspace_apps AS app
        JOIN workspace_agents AS agent ON agent.id = app.agent_id
        WHERE app.agent_id = ${agentId} AND app.slug = ${status.slug}
      ), added AS (
        INSERT INTO workspace_app_statuses (id, app_id, agent_id, workspace_id, state, message, uri, created_at)
        SELECT
          gen_random_uuid(), id, ${agentId}::uuid, ${workspaceId}::uuid,
          ${status.state}, ${status.message}, ${status.uri}, ${DateTime.toDateUtc(status.createdAt)}
        FROM app
      )
      SELECT
        id AS "appId",
        (
          SELECT state FROM workspace_app_statuses WHERE app_id = app.id ORDER BY created_at DESC LIMIT 1
        ) AS previous,
        "isAgentReady",
        (
          SELECT jsonb_build_object('name', name)
          FROM tasks WHERE workspace_id = ${workspaceId} AND workspace_app_id = app.id
        ) AS task
      FROM app`

    return AppStore.of({
      healths: (agentId) => findHealths(agentId).pipe(storeOperation(sql, "calls", "read the health of apps")),

      setHealths: (agentId, healths) =>
        sql`
          UPDATE workspace_apps AS app SET health = changed.health
          FROM unnest(
            ${column(PgTypes.OID.uuid, healths, ({ id }) => id)}::uuid[],
            ${column(PgTypes.OID.text, healths, ({ health }) => health)}::text[]
          ) AS changed (id, health)
          WHERE app.id = changed.id AND app.agent_id = ${agentId}`.pipe(
          Effect.asVoid,
          storeOperation(sql, "calls", "write the health of apps")
        ),

      addStatus: (agentId, workspaceId, status) =>
        add(agentId, workspaceId, status).pipe(
          Effect.flatMap(decodeAdded),
          Effect.map(Array.head),
          storeOperation(sql, "calls", "add the status of an app")
        )
    })
  })
)

const decodeAdded = Schema.decodeUnknownEffect(
  Schema.Array(
    Schema.Struct({
      appId: AppId,
      previous: Schema.NullOr(Schema.Literals(appStates)),
      isAgentReady: Schema.Boolean,
      task: Schema.NullOr(Schema.Struct({ name: Schema.String }))
    })
  )
)
