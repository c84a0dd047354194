/** Stores the directory's agents and their tokens. */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Option, Schema } from "effect"
import type { SecureRandom } from "effect/crypto"
import { type SqlClient, SqlSchema } from "effect/sql"
import { AgentNotFound, WorkspaceNotFound } from "../../../access/AccessError.ts"
import type { TokenDigest } from "../../../access/Token.ts"
import type { Directory } from "../../../admin/Directory.ts"
import { AgentId, BuildId, WorkspaceId } from "../../../domain/Ids.ts"
import { column } from "../column.ts"
import { descriptionColumns, DescriptionRow } from "../descriptionRow.ts"
import * as Declarations from "./declarations.ts"
import { directoryOperation, nameTaken } from "./operation.ts"

export const make = (
  sql: SqlClient.SqlClient,
  random: SecureRandom.SecureRandom["Service"]
): Pick<Directory["Service"], "agent" | "agents" | "createAgents" | "deleteAgent" | "rotateToken" | "updateAgent"> => {
  const { agentsOf, descriptionsOf, latestBuild } = makeReads(sql)
  const { addAgents, lockAgent, remove, rename, replaceToken, revokeTokensOfDescendants } = makeWrites(sql)
  const declarations = Declarations.make(sql)

  const build = (workspaceId: WorkspaceId) =>
    Effect.flatMap(
      latestBuild(workspaceId),
      Option.match({
        onNone: () => Effect.fail(new WorkspaceNotFound({ message: `there is no workspace ${workspaceId}` })),
        onSome: ({ id }) => Effect.succeed(id)
      })
    )

  const notFound = (id: AgentId) => new AgentNotFound({ message: `there is no agent ${id}` })

  const agent = (id: AgentId) =>
    Effect.flatMap(
      declarations.read(id),
      Option.match({ onNone: () => Effect.fail(notFound(id)), onSome: Effect.succeed })
    )

  return {
    agents: Effect.fn("PgDirectory.agents")(
      function* (workspaceId) {
        const buildId = yield* build(workspaceId)
        const descriptions = Map.groupBy(yield* descriptionsOf(buildId), ({ agentId }) => agentId)
        return (yield* agentsOf(buildId)).map((agent) => ({ ...agent, metadata: descriptions.get(agent.id) ?? [] }))
      },
      directoryOperation(sql, "read the agents of a workspace")
    ),

    createAgents: Effect.fn("PgDirectory.createAgents")(
      function* (workspaceId, agents) {
        const buildId = yield* build(workspaceId)
        const identified = yield* Effect.forEach(agents, (agent) =>
          Effect.map(random.uuidV4(), (id) => ({ ...agent, id: AgentId.make(id) }))
        )
        yield* addAgents(buildId, identified).pipe(
          nameTaken("the workspace has an agent of one of these names already")
        )
        yield* declarations.put(identified)
        return identified.map(({ id, metadata = [], name }) => ({ id, metadata, name }))
      },
      sql.withTransaction,
      directoryOperation(sql, "create agents")
    ),

    agent: (id) => agent(id).pipe(directoryOperation(sql, "read an agent")),

    updateAgent: Effect.fn("PgDirectory.updateAgent")(
      function* (id, { name, ...change }) {
        if ((yield* lockAgent(id)).length === 0) return yield* notFound(id)
        if (name !== undefined) {
          yield* rename(id, name).pipe(nameTaken(`the workspace has an agent ${name} already`))
        }
        yield* declarations.removeOthers(id, change)
        yield* declarations.put([{ id, ...change }])
        return yield* agent(id)
      },
      sql.withTransaction,
      directoryOperation(sql, "change an agent")
    ),

    deleteAgent: Effect.fn("PgDirectory.deleteAgent")(
      function* (id) {
        if ((yield* lockAgent(id)).length === 0) return yield* notFound(id)
        // a separate statement also sees a sub-agent that the previous statement waited for
        yield* remove(id)
      },
      sql.withTransaction,
      directoryOperation(sql, "delete an agent")
    ),

    rotateToken: Effect.fn("PgDirectory.rotateToken")(
      function* (agentId, token) {
        const replaced = yield* replaceToken(agentId, token)
        if (replaced.length === 0) return yield* notFound(agentId)
        // a separate statement also sees a sub-agent that the previous statement waited for
        yield* revokeTokensOfDescendants(agentId)
      },
      sql.withTransaction,
      directoryOperation(sql, "replace the token of an agent")
    )
  }
}

const makeReads = (sql: SqlClient.SqlClient) => ({
  latestBuild: SqlSchema.findOneOption({
    Request: WorkspaceId,
    Result: Schema.Struct({ id: BuildId }),
    execute: (workspaceId) => sql`
      SELECT build.id
      FROM workspace_builds AS build
      JOIN workspaces AS workspace ON workspace.id = build.workspace_id
      WHERE workspace.id = ${workspaceId} AND NOT workspace.deleted
      ORDER BY build_number DESC
      LIMIT 1`
  }),

  agentsOf: SqlSchema.findAll({
    Request: BuildId,
    Result: Schema.Struct({ id: AgentId, name: Schema.String }),
    execute: (buildId) => sql`
      SELECT id, name FROM workspace_agents WHERE workspace_build_id = ${buildId} AND NOT deleted
      ORDER BY length(name), name`
  }),

  descriptionsOf: SqlSchema.findAll({
    Request: BuildId,
    Result: DescriptionRow,
    execute: (buildId) => sql`
      SELECT ${descriptionColumns(sql)}
      FROM workspace_agent_metadata_descriptions AS description
      WHERE workspace_agent_id IN (
        SELECT id FROM workspace_agents WHERE workspace_build_id = ${buildId} AND NOT deleted
      )
      ORDER BY display_order, key`
  })
})

const makeWrites = (sql: SqlClient.SqlClient) => ({
  addAgents: (
    buildId: BuildId,
    agents: ReadonlyArray<{ readonly id: AgentId; readonly name: string; readonly token: TokenDigest }>
  ) => sql`
    INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash)
    SELECT id, ${buildId}, name, hash
    FROM unnest(
      ${column(PgTypes.OID.uuid, agents, ({ id }) => id)}::uuid[],
      ${column(PgTypes.OID.text, agents, ({ name }) => name)}::text[],
      ${column(PgTypes.OID.bytea, agents, ({ token }) => token)}::bytea[]
    ) AS agent (id, name, hash)`,

  lockAgent: (agentId: AgentId) => sql`
    SELECT agent.id
    FROM workspace_agents AS agent
    JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
    JOIN workspaces AS workspace ON workspace.id = build.workspace_id
    WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted
    FOR UPDATE OF agent`,

  rename: (agentId: AgentId, name: string) => sql`UPDATE workspace_agents SET name = ${name} WHERE id = ${agentId}`,

  remove: (agentId: AgentId) => sql`
    WITH RECURSIVE removed AS (
      SELECT id FROM workspace_agents WHERE id = ${agentId}
      UNION ALL
      SELECT child.id FROM workspace_agents AS child JOIN removed ON child.parent_id = removed.id
    )
    UPDATE workspace_agents SET deleted = true, updated_at = now()
    WHERE id IN (SELECT id FROM removed) AND NOT deleted`,

  replaceToken: (agentId: AgentId, token: TokenDigest) => sql`
    UPDATE workspace_agents AS agent SET auth_token_hash = ${token}
    FROM workspace_builds AS build
    JOIN workspaces AS workspace ON workspace.id = build.workspace_id
    WHERE agent.id = ${agentId}
      AND build.id = agent.workspace_build_id
      AND NOT agent.deleted
      AND NOT workspace.deleted
    RETURNING agent.id`,

  revokeTokensOfDescendants: (agentId: AgentId) => sql`
    WITH RECURSIVE descendant AS (
      SELECT id FROM workspace_agents WHERE parent_id = ${agentId}
      UNION ALL
      SELECT child.id FROM workspace_agents AS child JOIN descendant ON child.parent_id = descendant.id
    )
    UPDATE workspace_agents SET auth_token_hash = sha256(uuid_send(gen_random_uuid()))
    WHERE id IN (SELECT id FROM descendant)`
})
