/**
 * Reads from Postgres the facts about workspaces that agents need.
 *
 * Reads of many workspaces at the same time are one statement: all agents that have connected together refresh their
 * workspaces together.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { WorkspaceStore } from "../access/WorkspaceStore.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { coalescedRows } from "./internal/coalesced.ts"
import { array } from "./internal/column.ts"
import { workspaceJson, WorkspaceRow } from "./internal/workspaceRow.ts"

const Found = Schema.Struct({ workspace: WorkspaceRow })

export const layer: Layer.Layer<WorkspaceStore, never, SqlClient.SqlClient> = Layer.effect(
  WorkspaceStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const byId = yield* coalescedRows(sql, {
      share: "calls",
      operation: "read the workspace",
      row: Found,
      execute: (ids: ReadonlyArray<WorkspaceId>) => sql<{ ownerId: WorkspaceId }>`
        SELECT workspace.id AS "ownerId", ${workspaceJson(sql)} AS workspace
        FROM workspaces AS workspace
        JOIN users AS owner ON owner.id = workspace.owner_id
        JOIN templates AS template ON template.id = workspace.template_id
        WHERE workspace.id = ANY (${array(PgTypes.OID.uuid, ids)}) AND NOT workspace.deleted`
    })

    const byAgent = yield* coalescedRows(sql, {
      share: "calls",
      operation: "read the workspace of the agent",
      row: Found,
      execute: (agentIds: ReadonlyArray<AgentId>) => sql<{ ownerId: AgentId }>`
        SELECT agent.id AS "ownerId", ${workspaceJson(sql)} AS workspace
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        JOIN users AS owner ON owner.id = workspace.owner_id
        JOIN templates AS template ON template.id = workspace.template_id
        WHERE agent.id = ANY (${array(PgTypes.OID.uuid, agentIds)}) AND NOT agent.deleted AND NOT workspace.deleted`
    })

    const first = Effect.map(([found]: ReadonlyArray<typeof Found.Type>) =>
      Option.map(Option.fromUndefinedOr(found), ({ workspace }) => workspace)
    )
    return WorkspaceStore.of({
      workspace: (id) => first(byId(id)),
      workspaceOf: (agentId) => first(byAgent(agentId))
    })
  })
)
