/**
 * Users, workspaces and agents in Postgres.
 *
 * What belongs together is written in one transaction: a workspace with its first build, agents with what they report
 * and the rows of their values. What takes longer than thirty seconds is given up.
 */
import { PgTypes } from "@effect/sql-pg"
import { Cause, Duration, Effect, flow, Layer, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient, SqlError, SqlSchema } from "effect/sql"
import { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import { AgentId, BuildId, UserId, WorkspaceId } from "../domain/Ids.ts"
import { type Agent, Directory, NameTaken, UserNotFound } from "../admin/Directory.ts"
import { column } from "./internal/column.ts"

const User = Schema.Struct({ id: UserId, username: Schema.String, isAdmin: Schema.Boolean })

const Workspace = Schema.Struct({ id: WorkspaceId, name: Schema.String, owner: Schema.String, agents: Schema.Int })

const AgentRow = Schema.Struct({ id: AgentId, name: Schema.String })

const DescriptionRow = Schema.Struct({
  agentId: AgentId,
  key: Schema.String,
  displayName: Schema.String,
  script: Schema.String,
  interval: Schema.DurationFromNanos,
  timeout: Schema.DurationFromNanos,
  displayOrder: Schema.Int
})

export const layer: Layer.Layer<Directory, never, SqlClient.SqlClient | SecureRandom.SecureRandom> = Layer.effect(
  Directory,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const random = yield* SecureRandom.SecureRandom

    const users = SqlSchema.findAll({
      Request: Schema.Void,
      Result: User,
      execute: () => sql`
        SELECT id, username, is_admin AS "isAdmin" FROM users WHERE NOT deleted ORDER BY username`
    })

    const userByName = SqlSchema.findOneOption({
      Request: Schema.String,
      Result: Schema.Struct({ id: UserId }),
      execute: (username) => sql`SELECT id FROM users WHERE lower(username) = lower(${username}) AND NOT deleted`
    })

    const user = Effect.fnUntraced(function* (username: string) {
      return yield* Effect.flatMap(
        userByName(username),
        Option.match({
          onNone: () => Effect.fail(new UserNotFound({ message: `there is no user ${username}` })),
          onSome: ({ id }) => Effect.succeed(id)
        })
      )
    })

    const workspaces = SqlSchema.findAll({
      Request: Schema.Void,
      Result: Workspace,
      execute: () => sql`
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
        WHERE NOT workspace.deleted
        ORDER BY owner.username, workspace.name`
    })

    const latestBuild = SqlSchema.findOneOption({
      Request: WorkspaceId,
      Result: Schema.Struct({ id: BuildId }),
      execute: (workspaceId) => sql`
        SELECT build.id
        FROM workspace_builds AS build
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        WHERE workspace.id = ${workspaceId} AND NOT workspace.deleted
        ORDER BY build_number DESC
        LIMIT 1`
    })

    const build = Effect.fnUntraced(function* (workspaceId: WorkspaceId) {
      return yield* Effect.flatMap(
        latestBuild(workspaceId),
        Option.match({
          onNone: () => Effect.fail(new WorkspaceNotFound({ message: `there is no workspace ${workspaceId}` })),
          onSome: ({ id }) => Effect.succeed(id)
        })
      )
    })

    const agentsOf = SqlSchema.findAll({
      Request: BuildId,
      Result: AgentRow,
      execute: (buildId) => sql`
        SELECT id, name FROM workspace_agents WHERE workspace_build_id = ${buildId} AND NOT deleted
        ORDER BY length(name), name`
    })

    const descriptionsOf = SqlSchema.findAll({
      Request: BuildId,
      Result: DescriptionRow,
      execute: (buildId) => sql`
        SELECT
          workspace_agent_id AS "agentId",
          key,
          display_name AS "displayName",
          script,
          interval,
          timeout,
          display_order AS "displayOrder"
        FROM workspace_agent_metadata_descriptions
        WHERE workspace_agent_id IN (
          SELECT id FROM workspace_agents WHERE workspace_build_id = ${buildId} AND NOT deleted
        )
        ORDER BY display_order, key`
    })

    const addAgents = Effect.fnUntraced(function* (
      buildId: BuildId,
      agents: ReadonlyArray<Agent & { readonly token: Uint8Array }>
    ) {
      yield* sql`
        INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash)
        SELECT id, ${buildId}, name, hash
        FROM unnest(
          ${column(PgTypes.OID.uuid, agents, ({ id }) => id)}::uuid[],
          ${column(PgTypes.OID.text, agents, ({ name }) => name)}::text[],
          ${column(PgTypes.OID.bytea, agents, ({ token }) => token)}::bytea[]
        ) AS agent (id, name, hash)`
    })

    const addDescriptions = Effect.fnUntraced(function* (agents: ReadonlyArray<Agent>) {
      const rows = agents.flatMap(({ id, metadata }) => metadata.map((description) => ({ id, description })))
      yield* sql`
        WITH described AS (
          INSERT INTO workspace_agent_metadata_descriptions
            (workspace_agent_id, key, display_name, script, interval, timeout, display_order)
          SELECT *
          FROM unnest(
            ${column(PgTypes.OID.uuid, rows, ({ id }) => id)}::uuid[],
            ${column(PgTypes.OID.text, rows, ({ description }) => description.key)}::text[],
            ${column(PgTypes.OID.text, rows, ({ description }) => description.displayName)}::text[],
            ${column(PgTypes.OID.text, rows, ({ description }) => description.script)}::text[],
            ${column(PgTypes.OID.int8, rows, ({ description }) => Duration.toNanosUnsafe(description.interval))}::int8[],
            ${column(PgTypes.OID.int8, rows, ({ description }) => Duration.toNanosUnsafe(description.timeout))}::int8[],
            ${column(PgTypes.OID.int4, rows, ({ description }) => description.displayOrder)}::int4[]
          )
          RETURNING workspace_agent_id, key
        )
        INSERT INTO workspace_agent_metadata (workspace_agent_id, key) SELECT workspace_agent_id, key FROM described`
    })

    return Directory.of({
      users: unavailable(users()),

      createUser: Effect.fn("PgDirectory.createUser")(function* ({ isAdmin, username }) {
        const id = UserId.make(yield* random.uuidV4())
        yield* sql`INSERT INTO users (id, username, is_admin) VALUES (${id}, ${username}, ${isAdmin})`.pipe(
          taken(`there is a user ${username} already`)
        )
        return { id, username, isAdmin }
      }, unavailable),

      putToken: Effect.fn("PgDirectory.putToken")(
        function* ({ name, token, username }) {
          const owner = yield* user(username)
          yield* sql`DELETE FROM api_tokens WHERE hash = ${token}`
          yield* sql`
          INSERT INTO api_tokens (id, user_id, name, hash) VALUES (${yield* random.uuidV4()}, ${owner}, ${name}, ${token})
          ON CONFLICT (user_id, name) DO UPDATE SET hash = excluded.hash, created_at = now()`
        },
        flow(sql.withTransaction, unavailable)
      ),

      workspaces: unavailable(workspaces()),

      createWorkspace: Effect.fn("PgDirectory.createWorkspace")(
        function* ({ name, owner }) {
          const ownerId = yield* user(owner)
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
          WHERE organization.name = 'default'`.pipe(taken(`${owner} has a workspace ${name} already`))
          yield* sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition, job_status)
          VALUES (${yield* random.uuidV4()}, ${id}, 1, 'start', 'succeeded')`
          return { id, name, owner, agents: 0 }
        },
        flow(sql.withTransaction, unavailable)
      ),

      agents: Effect.fn("PgDirectory.agents")(function* (workspaceId) {
        const buildId = yield* build(workspaceId)
        const descriptions = Map.groupBy(yield* descriptionsOf(buildId), ({ agentId }) => agentId)
        return (yield* agentsOf(buildId)).map((agent) => ({ ...agent, metadata: descriptions.get(agent.id) ?? [] }))
      }, unavailable),

      createAgents: Effect.fn("PgDirectory.createAgents")(
        function* (workspaceId, agents) {
          const buildId = yield* build(workspaceId)
          const identified = yield* Effect.forEach(agents, (agent) =>
            Effect.map(random.uuidV4(), (id) => ({ ...agent, id: AgentId.make(id) }))
          )
          yield* addAgents(buildId, identified).pipe(taken("the workspace has an agent of one of these names already"))
          yield* addDescriptions(identified)
          return identified.map(({ id, metadata, name }) => ({ id, metadata, name }))
        },
        flow(sql.withTransaction, unavailable)
      ),

      rotateToken: Effect.fn("PgDirectory.rotateToken")(
        function* (agentId, token) {
          const updated = yield* sql`
            UPDATE workspace_agents AS agent SET auth_token_hash = ${token}
            FROM workspace_builds AS build
            JOIN workspaces AS workspace ON workspace.id = build.workspace_id
            WHERE agent.id = ${agentId}
              AND build.id = agent.workspace_build_id
              AND NOT agent.deleted
              AND NOT workspace.deleted
            RETURNING agent.id`
          if (updated.length === 0) return yield* new AgentNotFound({ message: `there is no agent ${agentId}` })
          // a statement of its own, which sees the sub-agent that the one before has waited for
          yield* sql`
            WITH RECURSIVE descendant AS (
              SELECT id FROM workspace_agents WHERE parent_id = ${agentId}
              UNION ALL
              SELECT child.id FROM workspace_agents AS child JOIN descendant ON child.parent_id = descendant.id
            )
            UPDATE workspace_agents SET auth_token_hash = sha256(uuid_send(gen_random_uuid()))
            WHERE id IN (SELECT id FROM descendant)`
        },
        flow(sql.withTransaction, unavailable)
      )
    })
  })
)

const taken =
  (message: string) =>
  <A, R>(self: Effect.Effect<A, SqlError.SqlError, R>) =>
    Effect.catchReason(self, "SqlError", "UniqueViolation", () => Effect.fail(new NameTaken({ message })))

type DatabaseError = SqlError.SqlError | Schema.SchemaError | Cause.TimeoutError

const unavailable = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.catch(
    Effect.timeout(self, "30 seconds"),
    (error): Effect.Effect<never, DirectoryUnavailable | Exclude<E, DatabaseError>> =>
      SqlError.isSqlError(error) || Schema.isSchemaError(error) || Cause.isTimeoutError(error)
        ? Effect.andThen(
            Effect.logError("the directory cannot be read or written", error),
            Effect.fail(new DirectoryUnavailable({ message: "the directory cannot be read or written now" }))
          )
        : Effect.fail(error as Exclude<E, DatabaseError>)
  )
