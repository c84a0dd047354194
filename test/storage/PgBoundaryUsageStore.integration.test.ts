import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { ReplicaId } from "../../src/domain/Ids.ts"
import * as PgBoundaryUsageStore from "../../src/storage/PgBoundaryUsageStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { BoundaryUsageStore } from "../../src/usage/BoundaryUsageStore.ts"

const at = (minute: number) => DateTime.makeUnsafe(Date.UTC(2026, 2, 1, 12, minute))

const counts = (number: number) => ({
  workspaces: number,
  users: number + 1,
  allowed: number + 2,
  denied: number + 3
})

const row = Effect.fnUntraced(function* (replicaId: ReplicaId) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql`
    SELECT
      unique_workspaces::int AS workspaces, unique_users::int AS users, allowed_requests::int AS allowed,
      denied_requests::int AS denied, window_start AS begin, updated_at AS at
    FROM boundary_usage_stats WHERE replica_id = ${replicaId}`
  return row
})

layer(PgBoundaryUsageStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgBoundaryUsageStore",
  (it) => {
    it.effect("begins a period with what is recent, and goes on with the total, for each replica [BL-05]", () =>
      Effect.gen(function* () {
        const { write } = yield* BoundaryUsageStore
        const [one, other] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]
        const values = { recent: counts(1), total: counts(10) }

        assert.isTrue(yield* write(one, values, at(0)))
        assert.isFalse(yield* write(one, values, at(1)))
        assert.isTrue(yield* write(other, values, at(2)))

        const [begin, middle, later] = [0, 1, 2].map((minute) => DateTime.toDateUtc(at(minute)))
        assert.deepStrictEqual(yield* row(one), { ...counts(10), begin, at: middle })
        assert.deepStrictEqual(yield* row(other), { ...counts(1), begin: later, at: later })

        const sql = yield* PgClient.PgClient
        yield* sql`DELETE FROM boundary_usage_stats`
        assert.isTrue(yield* write(one, values, at(2)))
        assert.deepStrictEqual(yield* row(one), { ...counts(1), begin: later, at: later })
      })
    )
  }
)
