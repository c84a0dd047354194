/**
 * Rows that tests need before they can begin: agents with declared keys, and everything that agents belong to.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Result, Schema } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"
import { AgentId, AppId, BuildId, OrganizationId, TemplateId, UserId, WorkspaceId } from "../../src/domain/Ids.ts"

export const newId = <Id>(schema: Schema.Codec<Id, string>): Id => Schema.decodeSync(schema)(Crypto.randomUUID())

/** A workspace that was started once, with its owner, organization and template. */
export const workspace = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const ids = {
    organizationId: newId(OrganizationId),
    ownerId: newId(UserId),
    templateId: newId(TemplateId),
    workspaceId: newId(WorkspaceId),
    buildId: newId(BuildId)
  }
  const { buildId, organizationId, ownerId, templateId, workspaceId } = ids
  yield* sql`INSERT INTO organizations (id, name) VALUES (${organizationId}, ${organizationId})`
  yield* sql`INSERT INTO users (id, username) VALUES (${ownerId}, ${ownerId})`
  yield* sql`
    INSERT INTO templates (id, organization_id, name) VALUES (${templateId}, ${organizationId}, 'docker')`
  yield* sql`
    INSERT INTO workspaces (id, owner_id, organization_id, template_id, name)
    VALUES (${workspaceId}, ${ownerId}, ${organizationId}, ${templateId}, 'dev')`
  yield* sql`
    INSERT INTO workspace_builds (id, workspace_id, build_number, transition, job_status)
    VALUES (${buildId}, ${workspaceId}, 1, 'start', 'succeeded')`
  return ids
})

/** A list of a known length, so that its members can be named. */
type Tuple<A, N extends number, Taken extends ReadonlyArray<A> = readonly []> = number extends N
  ? ReadonlyArray<A>
  : Taken["length"] extends N
    ? Taken
    : Tuple<A, N, readonly [...Taken, A]>

/** Ids of agents that nothing is known of. */
export const newIds = <const N extends number>(count: N): Tuple<AgentId, N> =>
  Array.from({ length: count }, () => newId(AgentId)) as Tuple<AgentId, N>

/** Agents of one workspace, each with the same declared keys. */
export const agents = Effect.fnUntraced(function* <const N extends number>(count: N, keys: ReadonlyArray<string>) {
  const sql = yield* SqlClient.SqlClient
  const { buildId } = yield* workspace
  const ids = newIds(count)
  const uuids = Result.getOrThrow(PgTypes.array([...ids], PgTypes.OID.uuid))
  yield* sql`
    INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash)
    SELECT id, ${buildId}, id::text, uuid_send(gen_random_uuid()) FROM unnest(${uuids}) AS id`
  yield* sql`
    INSERT INTO workspace_agent_metadata_descriptions
      (workspace_agent_id, key, display_name, script, interval, timeout, display_order)
    SELECT id, key, upper(key), 'echo ' || key, 10000000000, 1500000000, place
    FROM unnest(${uuids}) AS id, unnest(${keys}::text[]) WITH ORDINALITY AS declared (key, place)`
  return ids
})

/** An app of an agent, with what its columns are to be where that is not their default. */
export const app = Effect.fnUntraced(function* (
  agentId: AgentId,
  slug: string,
  columns: Readonly<Record<string, string | number | boolean>> = {}
) {
  const sql = yield* SqlClient.SqlClient
  const id = newId(AppId)
  yield* sql`INSERT INTO workspace_apps ${sql.insert({ id, agent_id: agentId, slug, ...columns })}`
  return id
})
