import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { WorkspaceStore } from "../../src/access/WorkspaceStore.ts"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as PgWorkspaceStore from "../../src/storage/PgWorkspaceStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const execute = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.orDie(SqlClient.SqlClient.use(statement))

/** A workspace with one agent. */
const seeded = Effect.gen(function* () {
  const ids = yield* Seed.workspace
  const agentId = Seed.newId(AgentId)
  yield* execute(
    (sql) => sql`
      INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash)
      VALUES (${agentId}, ${ids.buildId}, 'main', uuid_send(${agentId}))`
  )
  return { ...ids, agentId }
})

layer(Layer.provideMerge(PgWorkspaceStore.layer, Postgres.layer), { excludeTestServices: true })(
  "PgWorkspaceStore",
  (it) => {
    it.effect("finds a workspace by its id and by its agent, as it is now", () =>
      Effect.gen(function* () {
        const store = yield* WorkspaceStore
        const { agentId, organizationId, ownerId, templateId, workspaceId } = yield* seeded
        const found = Effect.all([store.workspace(workspaceId), store.workspaceOf(agentId)])
        const workspace = {
          id: workspaceId,
          name: "dev",
          ownerId,
          ownerName: ownerId,
          organizationId,
          templateId,
          templateName: "docker",
          autostartSchedule: null
        }

        assert.deepStrictEqual(yield* found, [Option.some(workspace), Option.some(workspace)])

        yield* execute(
          (sql) => sql`UPDATE workspaces SET name = 'prod', autostart_schedule = '0 9 * * *' WHERE id = ${workspaceId}`
        )
        const renamed = { ...workspace, name: "prod", autostartSchedule: "0 9 * * *" }
        assert.deepStrictEqual(yield* found, [Option.some(renamed), Option.some(renamed)])
      })
    )

    it.effect("finds no workspace that is deleted or unknown, and none by a deleted agent", () =>
      Effect.gen(function* () {
        const store = yield* WorkspaceStore
        const [one, other] = [yield* seeded, yield* seeded]

        yield* execute((sql) => sql`UPDATE workspaces SET deleted = true WHERE id = ${one.workspaceId}`)
        yield* execute((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${other.agentId}`)

        assert.isTrue(Option.isNone(yield* store.workspace(one.workspaceId)))
        assert.isTrue(Option.isNone(yield* store.workspaceOf(one.agentId)))
        assert.isTrue(Option.isNone(yield* store.workspaceOf(other.agentId)))
        assert.isTrue(Option.isSome(yield* store.workspace(other.workspaceId)))
        assert.isTrue(Option.isNone(yield* store.workspace(Seed.newId(WorkspaceId))))
        assert.isTrue(Option.isNone(yield* store.workspaceOf(Seed.newId(AgentId))))
      })
    )
  }
)
