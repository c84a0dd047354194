/** Workspaces with their agents in real tables. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as PgWorkspaceTreeStore from "../../src/storage/PgWorkspaceTreeStore.ts"
import { AgentId, UserId } from "../../src/domain/Ids.ts"
import { WorkspaceTreeStore } from "../../src/tailnet/WorkspaceTreeStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

layer(PgWorkspaceTreeStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgWorkspaceTreeStore",
  (it) => {
    it.effect("reads the workspaces of one user, each with the state and the agents of its latest build [TU-12]", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { ofOwner } = yield* WorkspaceTreeStore
        yield* Seed.workspace
        const { buildId, ownerId, workspaceId } = yield* Seed.workspace
        const [agentId, deleted] = [Seed.newId(AgentId), Seed.newId(AgentId)]
        yield* Effect.forEach(
          [agentId, deleted],
          (id) => sql`
          INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash, deleted)
          VALUES (${id}, ${buildId}, ${`agent-${id}`}, uuid_send(gen_random_uuid()), ${id === deleted})`
        )

        assert.deepStrictEqual(yield* ofOwner(ownerId), [
          { id: workspaceId, name: "dev", status: "running", agents: [{ id: agentId, name: `agent-${agentId}` }] }
        ])
        assert.deepStrictEqual(yield* ofOwner(Seed.newId(UserId)), [])

        for (const [transition, jobStatus, status] of [
          ["stop", "pending", "pending"],
          ["stop", "running", "stopping"],
          ["stop", "succeeded", "stopped"],
          ["start", "running", "starting"],
          ["start", "failed", "failed"],
          ["start", "canceling", "canceling"],
          ["start", "canceled", "canceled"],
          ["delete", "running", "deleting"],
          ["delete", "succeeded", "deleted"],
          ["start", "unknown", "unknown"]
        ] as const) {
          yield* sql`
            UPDATE workspace_builds SET transition = ${transition}, job_status = ${jobStatus} WHERE id = ${buildId}`
          assert.strictEqual((yield* ofOwner(ownerId))[0]?.status, status)
        }

        yield* sql`UPDATE workspaces SET deleted = true WHERE id = ${workspaceId}`
        assert.deepStrictEqual(yield* ofOwner(ownerId), [])
      })
    )
  }
)
