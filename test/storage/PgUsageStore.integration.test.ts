import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, DateTime, Effect, Layer } from "effect"
import type { WorkspaceId } from "../../src/domain/Ids.ts"
import * as PgUsageStore from "../../src/storage/PgUsageStore.ts"
import { UsageStore } from "../../src/usage/UsageStore.ts"
import * as UsageTracker from "../../src/usage/UsageTracker.ts"
import { lockedBefore } from "../support/locked.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const at = (hour: number) => DateTime.makeUnsafe(Date.UTC(2026, 0, 22, hour))

const lastUsed = Effect.fnUntraced(function* (id: WorkspaceId) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ at: Date }>`SELECT last_used_at AS at FROM workspaces WHERE id = ${id}`
  return row!.at.toISOString()
})

const workspaces = (count: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: count }), () => Seed.workspace),
    (seeds) => seeds.map(({ workspaceId }) => workspaceId)
  )

layer(PgUsageStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgUsageStore",
  (it) => {
    it.effect("moves last uses forward and never back [UT-19]", () =>
      Effect.gen(function* () {
        const { updateLastUsedAt } = yield* UsageStore
        const [used, other] = yield* workspaces(2)

        yield* updateLastUsedAt([used!], at(12))
        yield* updateLastUsedAt([used!, other!], at(11))

        assert.deepStrictEqual(
          [yield* lastUsed(used!), yield* lastUsed(other!)],
          ["2026-01-22T12:00:00.000Z", "2026-01-22T11:00:00.000Z"]
        )
      })
    )

    it.effect("keeps the later time of two replicas, and leaves other workspaces alone [UT-18]", () =>
      Effect.gen(function* () {
        const [a, b, both, neither] = yield* workspaces(4)
        const untouched = yield* lastUsed(neither!)
        const store = yield* UsageStore
        const replica = (hour: number) =>
          Effect.map(
            Layer.build(
              UsageTracker.layer().pipe(
                Layer.provide(
                  Layer.succeed(UsageStore, { updateLastUsedAt: (ids) => store.updateLastUsedAt(ids, at(hour)) })
                )
              )
            ),
            Context.get(UsageTracker.UsageTracker)
          )
        const early = yield* replica(9)
        const late = yield* replica(10)

        for (const id of [a!, both!]) yield* early.add(id)
        for (const id of [b!, both!]) yield* late.add(id)
        yield* Effect.all([late.flush, early.flush], { concurrency: "unbounded" })

        assert.deepStrictEqual(yield* Effect.forEach([a!, b!, both!, neither!], lastUsed), [
          "2026-01-22T09:00:00.000Z",
          "2026-01-22T10:00:00.000Z",
          "2026-01-22T10:00:00.000Z",
          untouched
        ])
      })
    )

    it.effect("locks workspaces in the order of their ids, however they are listed and stored", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { updateLastUsedAt } = yield* UsageStore
        const ids = (yield* workspaces(3)).toSorted()
        const [first, second, last] = ids as [WorkspaceId, WorkspaceId, WorkspaceId]
        // puts the rows in another order than their ids
        for (const id of [last, second, first]) yield* sql`UPDATE workspaces SET name = name WHERE id = ${id}`

        const locked = yield* lockedBefore("workspaces", second, ids, updateLastUsedAt([last, second, first], at(12)))

        assert.deepStrictEqual(locked, [first])
        assert.deepStrictEqual(new Set(yield* Effect.forEach(ids, lastUsed)), new Set(["2026-01-22T12:00:00.000Z"]))
      })
    )

    it.effect("ignores unknown workspaces, and empty lists", () =>
      Effect.gen(function* () {
        const { updateLastUsedAt } = yield* UsageStore

        yield* updateLastUsedAt(["10000000-0000-4000-8000-000000000000" as WorkspaceId], at(12))
        yield* updateLastUsedAt([], at(12))
      })
    )
  }
)
