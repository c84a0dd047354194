/** Reads from Postgres the facts about workspaces that agents need. */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { WorkspaceStore } from "../access/WorkspaceStore.ts"
import { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { workspaceJson, WorkspaceRow } from "./internal/workspaceRow.ts"

const Found = Schema.Struct({ workspace: WorkspaceRow })

export const layer: Layer.Layer<WorkspaceStore, never, SqlClient.SqlClient> = Layer.effect(
  WorkspaceStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const byId = SqlSchema.findOneOption({
      Request: WorkspaceId,
      Result: Found,
      execute: (id) => sql`
        SELECT ${workspaceJson(sql)} AS workspace
        FROM workspaces AS workspace
        JOIN users AS owner ON owner.id = workspace.owner_id
        JOIN templates AS template ON template.id = workspace.template_id
        WHERE workspace.id = ${id} AND NOT workspace.deleted`
    })

    const byAgent = SqlSchema.findOneOption({
      Request: AgentId,
      Result: Found,
      execute: (agentId) => sql`
        SELECT ${workspaceJson(sql)} AS workspace
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        JOIN users AS owner ON owner.id = workspace.owner_id
        JOIN templates AS template ON template.id = workspace.template_id
        WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted`
    })

    const found = Option.map(({ workspace }: typeof Found.Type) => workspace)

    return WorkspaceStore.of({
      workspace: (id) => byId(id).pipe(storeOperation(sql, "calls", "read the workspace"), Effect.map(found)),
      workspaceOf: (agentId) =>
        byAgent(agentId).pipe(storeOperation(sql, "calls", "read the workspace of the agent"), Effect.map(found))
    })
  })
)
