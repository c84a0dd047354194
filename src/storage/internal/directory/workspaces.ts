/** Stores the directory's workspaces. */
import { Effect, Option, Schema } from "effect"
import type { SecureRandom } from "effect/crypto"
import { type SqlClient, SqlSchema } from "effect/sql"
import { WorkspaceNotFound } from "../../../access/AccessError.ts"
import type { Directory } from "../../../admin/Directory.ts"
import { WorkspaceId } from "../../../domain/Ids.ts"
import { directoryOperation, nameTaken } from "./operation.ts"
import { makeUserId } from "./users.ts"

const Workspace = Schema.Struct({ id: WorkspaceId, name: Schema.String, owner: Schema.String, agents: Schema.Int })

export const make = (
  sql: SqlClient.SqlClient,
  random: SecureRandom.SecureRandom["Service"]
): Pick<
  Directory["Service"],
  "createWorkspace" | "deleteWorkspace" | "updateWorkspace" | "workspace" | "workspaces"
> => {
  const userId = makeUserId(sql)

  const select = sql`
      SELECT
        workspace.id,
        workspace.name,
        owner.username AS owner,
        (
          SELECT count(*)::int4
          FROM workspace_agents AS agent
          JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
          WHERE build.workspace_id = workspace.id AND NOT agent.deleted
        ) AS agents
      FROM workspaces AS workspace
      JOIN users AS owner ON owner.id = workspace.owner_id
      WHERE NOT workspace.deleted`

  const workspaces = SqlSchema.findAll({
    Request: Schema.Void,
    Result: Workspace,
    execute: () => sql`${select} ORDER BY owner.username, workspace.name`
  })

  const findWorkspace = SqlSchema.findOneOption({
    Request: WorkspaceId,
    Result: Workspace,
    execute: (id) => sql`${select} AND workspace.id = ${id}`
  })

  const notFound = (id: WorkspaceId) => new WorkspaceNotFound({ message: `there is no workspace ${id}` })

  const workspace = (id: WorkspaceId) =>
    Effect.flatMap(findWorkspace(id), Option.match({ onNone: () => Effect.fail(notFound(id)), onSome: Effect.succeed }))

  return {
    workspaces: workspaces().pipe(directoryOperation(sql, "read the workspaces")),

    workspace: (id) => workspace(id).pipe(directoryOperation(sql, "read a workspace")),

    updateWorkspace: Effect.fn("PgDirectory.updateWorkspace")(
      function* (id, { name, owner }) {
        const found = yield* workspace(id)
        const ownerId = owner === undefined ? null : yield* userId(owner)
        const newName = name ?? found.name
        const updated = yield* sql`
          UPDATE workspaces SET name = ${newName}, owner_id = coalesce(${ownerId}, owner_id)
          WHERE id = ${id} AND NOT deleted
          RETURNING id`.pipe(nameTaken(`${owner ?? found.owner} has a workspace ${newName} already`))
        if (updated.length === 0) return yield* notFound(id)
        return yield* workspace(id)
      },
      sql.withTransaction,
      directoryOperation(sql, "change a workspace")
    ),

    deleteWorkspace: Effect.fn("PgDirectory.deleteWorkspace")(
      function* (id) {
        const deleted = yield* sql`
          UPDATE workspaces SET deleted = true WHERE id = ${id} AND NOT deleted RETURNING id`
        if (deleted.length === 0) return yield* notFound(id)
      },
      directoryOperation(sql, "delete a workspace")
    ),

    createWorkspace: Effect.fn("PgDirectory.createWorkspace")(
      function* ({ name, owner }) {
        const ownerId = yield* userId(owner)
        const id = WorkspaceId.make(yield* random.uuidV4())
        yield* sql`
          INSERT INTO organizations (id, name) VALUES (${yield* random.uuidV4()}, 'default')
          ON CONFLICT DO NOTHING`
        yield* sql`
          INSERT INTO templates (id, organization_id, name)
          SELECT ${yield* random.uuidV4()}, id, 'default' FROM organizations WHERE name = 'default'
          ON CONFLICT DO NOTHING`
        yield* sql`
          INSERT INTO workspaces (id, owner_id, organization_id, template_id, name)
          SELECT ${id}, ${ownerId}, organization.id, template.id, ${name}
          FROM organizations AS organization
          JOIN templates AS template
            ON template.organization_id = organization.id AND lower(template.name) = 'default' AND NOT template.deleted
          WHERE organization.name = 'default'`.pipe(nameTaken(`${owner} has a workspace ${name} already`))
        yield* sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition, job_status)
          VALUES (${yield* random.uuidV4()}, ${id}, 1, 'start', 'succeeded')`
        return { id, name, owner, agents: 0 }
      },
      sql.withTransaction,
      directoryOperation(sql, "create a workspace")
    )
  }
}
