/** Reads the workspaces of a user from Postgres, each with the agents of its latest build. */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import { type WorkspaceStatus, WorkspaceTreeStore } from "../tailnet/WorkspaceTreeStore.ts"
import { storeOperation } from "./internal/storeOperation.ts"

const Row = Schema.Struct({
  id: WorkspaceId,
  name: Schema.String,
  transition: Schema.NullOr(Schema.String),
  jobStatus: Schema.NullOr(Schema.String),
  agents: Schema.Array(Schema.Struct({ id: AgentId, name: Schema.String }))
})

export const layer: Layer.Layer<WorkspaceTreeStore, never, SqlClient.SqlClient> = Layer.effect(
  WorkspaceTreeStore,
  SqlClient.SqlClient.useSync((sql) => {
    const ofOwner = SqlSchema.findAll({
      Request: UserId,
      Result: Row,
      execute: (ownerId) => sql`
        SELECT workspace.id, workspace.name, latest.transition, latest.job_status AS "jobStatus",
          coalesce(
            (
              SELECT json_agg(json_build_object('id', agent.id, 'name', agent.name) ORDER BY agent.id)
              FROM workspace_agents AS agent
              WHERE agent.workspace_build_id = latest.id AND NOT agent.deleted
            ),
            '[]'::json
          ) AS agents
        FROM workspaces AS workspace
        LEFT JOIN LATERAL (
          SELECT id, transition, job_status FROM workspace_builds
          WHERE workspace_id = workspace.id
          ORDER BY build_number DESC
          LIMIT 1
        ) AS latest ON true
        WHERE workspace.owner_id = ${ownerId} AND NOT workspace.deleted
        ORDER BY workspace.id`
    })

    return WorkspaceTreeStore.of({
      ofOwner: (ownerId) =>
        ofOwner(ownerId).pipe(
          storeOperation(sql, "readers", "read the workspaces of a user"),
          Effect.map((rows) =>
            rows.map(({ jobStatus, transition, ...rest }) => ({ ...rest, status: statusOf(transition, jobStatus) }))
          )
        )
    })
  })
)

const running: { readonly [transition: string]: WorkspaceStatus } = {
  start: "starting",
  stop: "stopping",
  delete: "deleting"
}
const succeeded: { readonly [transition: string]: WorkspaceStatus } = {
  start: "running",
  stop: "stopped",
  delete: "deleted"
}

/** Returns the state of a workspace that follows from its latest build. */
const statusOf = (transition: string | null, jobStatus: string | null): WorkspaceStatus => {
  switch (jobStatus) {
    case "running":
      return running[transition ?? ""] ?? "unknown"
    case "succeeded":
      return succeeded[transition ?? ""] ?? "unknown"
    case "pending":
    case "canceling":
    case "canceled":
    case "failed":
      return jobStatus
    default:
      return "unknown"
  }
}
