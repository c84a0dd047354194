/** Tokens in Postgres, looked up by their digests. A lookup that takes longer than five seconds is cancelled, and fails. */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AccessStore, AccessStoreError } from "../access/AccessStore.ts"
import { AgentId, BuildId, OrganizationId, TemplateId, UserId, WorkspaceId } from "../domain/Ids.ts"

const Agent = Schema.Struct({
  digest: Schema.Uint8Array,
  agentId: AgentId,
  agentName: Schema.String,
  buildId: BuildId,
  workspaceId: WorkspaceId,
  workspaceName: Schema.String,
  ownerId: UserId,
  ownerName: Schema.String,
  organizationId: OrganizationId,
  templateId: TemplateId
})

const User = Schema.Struct({
  digest: Schema.Uint8Array,
  id: UserId,
  username: Schema.String,
  isAdmin: Schema.Boolean
})

export const layer: Layer.Layer<AccessStore, never, SqlClient.SqlClient> = Layer.effect(
  AccessStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const agent = SqlSchema.findOneOption({
      Request: Schema.Uint8Array,
      Result: Agent,
      execute: (digest) => sql`
        SELECT
          agent.auth_token_hash AS digest,
          agent.id AS "agentId",
          agent.name AS "agentName",
          build.id AS "buildId",
          workspace.id AS "workspaceId",
          workspace.name AS "workspaceName",
          owner.id AS "ownerId",
          owner.username AS "ownerName",
          workspace.organization_id AS "organizationId",
          workspace.template_id AS "templateId"
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        JOIN users AS owner ON owner.id = workspace.owner_id
        WHERE agent.auth_token_hash = ${digest}
          AND NOT agent.deleted
          AND NOT workspace.deleted
          AND build.build_number = (
            SELECT max(build_number) FROM workspace_builds WHERE workspace_id = workspace.id
          )`
    })

    const user = SqlSchema.findOneOption({
      Request: Schema.Uint8Array,
      Result: User,
      execute: (digest) => sql`
        SELECT token.hash AS digest, owner.id, owner.username, owner.is_admin AS "isAdmin"
        FROM api_tokens AS token
        JOIN users AS owner ON owner.id = token.user_id
        WHERE token.hash = ${digest} AND NOT owner.deleted`
    })

    const owner = SqlSchema.findOneOption({
      Request: AgentId,
      Result: Schema.Struct({ id: UserId }),
      execute: (agentId) => sql`
        SELECT workspace.owner_id AS id
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        WHERE agent.id = ${agentId} AND NOT agent.deleted AND NOT workspace.deleted`
    })

    const bounded = <A, E>(lookup: Effect.Effect<A, E>) =>
      Effect.mapError(Effect.timeout(lookup, "5 seconds"), (cause) => new AccessStoreError({ cause }))
    const found = <A extends { readonly digest: Uint8Array }>({ digest, ...subject }: A) => ({ subject, digest })

    return AccessStore.of({
      agent: (digest) => Effect.map(bounded(agent(digest)), Option.map(found)),
      user: (digest) => Effect.map(bounded(user(digest)), Option.map(found)),
      ownerOf: (agentId) =>
        Effect.map(
          bounded(owner(agentId)),
          Option.map(({ id }) => id)
        )
    })
  })
)
