import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ConnectionStore } from "../../src/agentapi/ConnectionMonitor.ts"
import { BuildId, ReplicaId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as PgConnectionStore from "../../src/storage/PgConnectionStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const at = (text: string) => DateTime.makeUnsafe(text)

const [first, last, gone] = [at("2030-01-01T00:00:00.123Z"), at("2030-01-02T00:00:00Z"), at("2030-01-03T00:00:00Z")]

layer(Layer.provideMerge(PgConnectionStore.layer, Postgres.layer), { excludeTestServices: true })(
  "PgConnectionStore",
  (it) => {
    it.effect(
      "notes the times of an agent and its replica, and when that was, and of no other agent [CN-08, CN-16]",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const store = yield* ConnectionStore
          const [agentId, other] = yield* Seed.agents(2, [])
          const [one, next] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]
          yield* sql`UPDATE workspace_agents SET updated_at = '2020-01-01'`
          const rows = sql`
          SELECT
            first_connected_at AS first, last_connected_at AS last, disconnected_at AS gone,
            last_connected_replica_id AS replica, updated_at > '2020-01-01' AS updated
          FROM workspace_agents WHERE id IN ${sql.in([agentId, other])}
          ORDER BY id = ${other}`
          const untouched = { first: null, last: null, gone: null, replica: null, updated: false }
          const [firstAt, lastAt, goneAt] = [first, last, gone].map(DateTime.toDateUtc)

          yield* store.note(agentId, { firstConnectedAt: first, lastConnectedAt: last, disconnectedAt: gone }, one)
          assert.deepStrictEqual(yield* rows, [
            { first: firstAt, last: lastAt, gone: goneAt, replica: one, updated: true },
            untouched
          ])

          yield* store.note(agentId, { firstConnectedAt: first, lastConnectedAt: gone, disconnectedAt: null }, next)
          assert.deepStrictEqual(yield* rows, [
            { first: firstAt, last: goneAt, gone: null, replica: next, updated: true },
            untouched
          ])
        })
    )

    it.effect("calls a build the latest until its workspace has a newer one [CN-12]", () =>
      Effect.gen(function* () {
        const { isLatest } = yield* ConnectionStore
        const [one, other] = [yield* Seed.workspace, yield* Seed.workspace]
        const next = Seed.newId(BuildId)
        const add = SqlClient.SqlClient.use(
          (sql) => sql`
            INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
            VALUES (${next}, ${one.workspaceId}, 2, 'stop')`
        )

        assert.isTrue(yield* isLatest(one.buildId, one.workspaceId))
        yield* add
        assert.isFalse(yield* isLatest(one.buildId, one.workspaceId))
        assert.isTrue(yield* isLatest(next, one.workspaceId))
        assert.isTrue(yield* isLatest(other.buildId, other.workspaceId))
      })
    )

    it.effect("calls no build the latest that is gone [CN-12]", () =>
      Effect.gen(function* () {
        const { isLatest } = yield* ConnectionStore
        const { workspaceId } = yield* Seed.workspace

        assert.isFalse(yield* isLatest(Seed.newId(BuildId), workspaceId))
        assert.isFalse(yield* isLatest(Seed.newId(BuildId), Seed.newId(WorkspaceId)))
      })
    )
  }
)
