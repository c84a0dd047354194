/**
 * Extends the deadlines of builds in Postgres.
 *
 * A bump is one statement, so that the later deadline wins when replicas bump the same build. A bump that changes
 * nothing locks no row.
 */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { storeOperation } from "./internal/storeOperation.ts"
import { ActivityStore } from "../usage/ActivityStore.ts"

export const layer: Layer.Layer<ActivityStore, never, SqlClient.SqlClient> = Layer.effect(
  ActivityStore,
  SqlClient.SqlClient.useSync((sql) =>
    ActivityStore.of({
      bump: (workspaceId, at, nextAutostart) =>
        sql`
          WITH latest AS (
            SELECT build.*,
              template.activity_bump / 1000 * interval '1 microsecond' AS bump,
              NULLIF(CASE WHEN template.allow_user_autostop THEN workspace.ttl ELSE template.default_ttl END, 0)
                / 1000 * interval '1 microsecond' AS ttl,
              ${DateTime.toDateUtc(at)}::timestamptz AS at,
              CASE WHEN template.allow_user_autostart
                THEN ${nextAutostart && DateTime.toDateUtc(nextAutostart)}::timestamptz END AS autostart
            FROM workspace_builds AS build
            JOIN workspaces AS workspace ON workspace.id = build.workspace_id
            JOIN templates AS template ON template.id = workspace.template_id
            WHERE build.workspace_id = ${workspaceId}
            ORDER BY build.build_number DESC
            LIMIT 1
          ), bumped AS (
            SELECT id, at,
              CASE WHEN autostart > at AND autostart < at + bump
                THEN COALESCE(autostart - at + ttl, bump) ELSE bump END AS by
            FROM latest
            WHERE transition = 'start' AND job_status IN ('succeeded', 'failed', 'canceled')
              AND bump > interval '0'
          )
          UPDATE workspace_builds AS build
          SET deadline = LEAST(GREATEST(build.deadline, at + by), build.max_deadline)
          FROM bumped
          WHERE build.id = bumped.id
            AND by > interval '0'
            AND build.deadline < at + by * 0.95`.pipe(
          Effect.asVoid,
          storeOperation(sql, "calls", "move the deadline of a workspace")
        )
    })
  )
)
