/** The points of the longer plots in a real table. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { HistoryStore } from "../../src/operations/HistoryStore.ts"
import * as PgHistoryStore from "../../src/storage/operations/PgHistoryStore.ts"
import { point } from "../support/points.ts"
import * as Postgres from "../support/Postgres.ts"

layer(PgHistoryStore.layer.pipe(Layer.provideMerge(Postgres.layer)))("PgHistoryStore", (it) => {
  it.effect("sums the points of all replicas, and keeps the first of a replica and a time [LF-42]", () =>
    Effect.gen(function* () {
      const { add, read } = yield* HistoryStore
      const work = { agents: 2, updates: 1.5, rows: 1, statements: 0.25, notifies: 0.5, pending: 3, queued: 4 }
      yield* add("a:1", point(72, { ...work, writtenAge: 0.5 }))
      // a worker of the same service
      yield* add("a:1", point(72, { ...work, agents: 9 }))
      yield* add("b:1", point(72, { ...work, writtenAge: 2, watchDelay: 0.1 }))
      yield* add("b:1", point(108, work))
      yield* add("b:1", point(36, work))

      assert.deepStrictEqual(yield* read(DateTime.makeUnsafe(72_000)), [
        point(72, {
          agents: 4,
          updates: 3,
          rows: 2,
          statements: 0.5,
          notifies: 1,
          pending: 6,
          queued: 8,
          writtenAge: 2,
          watchDelay: 0.1
        }),
        point(108, work)
      ])
    })
  )
})
