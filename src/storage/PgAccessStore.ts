/**
 * Looks up tokens in Postgres by their digests. A lookup that takes longer than five seconds is cancelled and fails.
 *
 * The last use of a token is recorded at most once in five minutes, so that look-ups write next to nothing.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AccessStore } from "../access/AccessStore.ts"
import type { TokenDigest } from "../access/Token.ts"
import { AgentId, BuildId, TemplateVersionId, UserId, WorkspaceId } from "../domain/Ids.ts"
import { array } from "./internal/column.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { workspaceJson, WorkspaceRow } from "./internal/workspaceRow.ts"

const Agent = Schema.Struct({
  digest: Schema.Uint8Array,
  agentId: AgentId,
  agentName: Schema.String,
  parentId: Schema.NullOr(AgentId),
  buildId: BuildId,
  templateVersionId: Schema.NullOr(TemplateVersionId),
  workspace: WorkspaceRow,
  firstConnectedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  disconnectedAt: Schema.NullOr(Schema.DateTimeUtcFromDate)
})

const User = Schema.Struct({
  digest: Schema.Uint8Array,
  id: UserId,
  username: Schema.String,
  isAdmin: Schema.Boolean,
  isUnmarked: Schema.Boolean
})

export const layer: Layer.Layer<AccessStore, never, SqlClient.SqlClient> = Layer.effect(
  AccessStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const agents = SqlSchema.findAll({
      Request: Schema.Array(Schema.Uint8Array),
      Result: Agent,
      execute: (digests) => sql`
        SELECT
          agent.auth_token_hash AS digest,
          agent.id AS "agentId",
          agent.name AS "agentName",
          agent.parent_id AS "parentId",
          build.id AS "buildId",
          build.template_version_id AS "templateVersionId",
          ${workspaceJson(sql)} AS workspace,
          agent.first_connected_at AS "firstConnectedAt",
          agent.disconnected_at AS "disconnectedAt"
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        JOIN users AS owner ON owner.id = workspace.owner_id
        JOIN templates AS template ON template.id = workspace.template_id
        CROSS JOIN LATERAL (
          SELECT build_number, transition, job_status FROM workspace_builds
          WHERE workspace_id = workspace.id
          ORDER BY build_number DESC
          LIMIT 1
        ) AS latest
        WHERE agent.auth_token_hash = ANY (${array(PgTypes.OID.bytea, digests)})
          AND NOT agent.deleted
          AND NOT workspace.deleted
          AND (
            latest.build_number = build.build_number
            OR (
              -- scripts run while a workspace stops
              latest.build_number = build.build_number + 1
              AND latest.transition = 'stop'
              AND latest.job_status IN ('pending', 'running')
              AND build.transition = 'start'
              AND build.job_status = 'succeeded'
            )
          )`
    })

    const users = SqlSchema.findAll({
      Request: Schema.Array(Schema.Uint8Array),
      Result: User,
      execute: (digests) => sql`
        SELECT token.hash AS digest, owner.id, owner.username, owner.is_admin AS "isAdmin",
          coalesce(token.last_used_at < now() - interval '5 minutes', true) AS "isUnmarked"
        FROM api_tokens AS token
        JOIN users AS owner ON owner.id = token.user_id
        WHERE token.hash = ANY (${array(PgTypes.OID.bytea, digests)})
          AND NOT owner.deleted
          AND (token.expires_at IS NULL OR token.expires_at > now())`
    })

    /** Records the use of tokens. A database that cannot be written keeps nobody out. */
    const markUsed = (digests: ReadonlyArray<TokenDigest>) =>
      digests.length === 0
        ? Effect.void
        : sql`
            UPDATE api_tokens SET last_used_at = now()
            WHERE hash = ANY (${array(PgTypes.OID.bytea, digests)})`.pipe(
            Effect.timeout("1 second"),
            Effect.ignore({ log: "Debug", message: "the use of tokens was not recorded" })
          )

    const ownerships = SqlSchema.findAll({
      Request: Schema.Array(AgentId),
      Result: Schema.Struct({ agentId: AgentId, workspaceId: WorkspaceId, ownerId: UserId }),
      execute: (agentIds) => sql`
        SELECT agent.id AS "agentId", workspace.id AS "workspaceId", workspace.owner_id AS "ownerId"
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        WHERE agent.id = ANY (${array(PgTypes.OID.uuid, agentIds)}) AND NOT agent.deleted AND NOT workspace.deleted`
    })

    const bounded = storeOperation(sql, "logins", "look up tokens", "5 seconds")
    const toMatch = <A extends { readonly digest: Uint8Array }>({ digest, ...subject }: A) => ({ subject, digest })

    return AccessStore.of({
      agents: (digests) => Effect.map(bounded(agents(digests)), (rows) => rows.map(toMatch)),
      users: Effect.fnUntraced(function* (digests) {
        const rows = yield* users(digests)
        yield* markUsed(rows.flatMap(({ digest, isUnmarked }) => (isUnmarked ? [digest] : [])))
        return rows.map(({ isUnmarked: _, ...row }) => toMatch(row))
      }, bounded),
      ownerships: (agentIds) => bounded(ownerships(agentIds))
    })
  })
)
