/** Two writers of the same rows: in the order of the store they wait for each other, in any other they lock each other out. */
import { Array, Duration, Effect, Logger, Random, References } from "effect"
import { SqlError } from "effect/sql"
import { MetadataStore } from "../../../src/metadata/MetadataStore.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import * as Table from "../Table.ts"
import * as Circle from "./Circle.ts"
import * as Peers from "./peers.ts"

export const table = Effect.fnUntraced(function* (
  rows: ReadonlyArray<MetadataRow>,
  size: number,
  duration: Duration.Input
) {
  const store = yield* MetadataStore
  const pg = yield* Peers.pg((rows) => rows)
  // batches of two writers have half of their rows in common, in orders of chance
  const batches = yield* Effect.forEach(Array.range(0, 39), (index) =>
    Random.shuffle(rows.slice((index % 2) * (size >> 1)).slice(0, size)).pipe(Random.withSeed(String(index)))
  )

  let deadlocks = 0
  // the store tries again, and says so to whoever wants to know
  const listening = Logger.layer([
    Logger.make(({ message }) => {
      for (const part of [message].flat()) {
        if (SqlError.isSqlError(part) && part.reason._tag === "DeadlockError") deadlocks++
      }
    })
  ])

  const writers = (
    name: string,
    remark: string,
    write: (rows: ReadonlyArray<MetadataRow>) => Effect.Effect<unknown, unknown>
  ) => ({
    name,
    remark,
    round: Effect.gen(function* () {
      deadlocks = 0
      const began = performance.now()
      const end = began + Duration.toMillis(duration)
      let longest = 0
      let written = 0
      const writer = Effect.fnUntraced(function* (first: number) {
        const next = Circle.make(batches.filter((_, index) => index % 2 === first))
        while (performance.now() < end) {
          const [elapsed] = yield* Effect.timed(write(next(1).elements[0]!))
          longest = Math.max(longest, Duration.toMillis(elapsed))
          written += size
        }
      })
      yield* Effect.all([writer(0), writer(1)], { concurrency: 2 })
      return { deadlocks, "rows/s": (written * 1_000) / (performance.now() - began), "longest ms": longest }
    }).pipe(Effect.provide(listening), Effect.provideService(References.MinimumLogLevel, "Debug"))
  })

  return Table.make({
    name: "conflicts",
    title: `two writers whose batches of ${size} have half of their rows in common`,
    notes: ["Each writes one batch after the other. Who loses a deadlock writes again."],
    columns: { deadlocks: 0, "rows/s": 0, "longest ms": 0 },
    warmsUp: false,
    contestants: [
      writers("PgMetadataStore", "sorted by agent and key", store.updateBatch),
      writers("pg", "as they came, as the original writes them", (rows) =>
        pg(rows).pipe(
          Effect.tapError(() => Effect.sync(() => deadlocks++)),
          Effect.retry({ while: Peers.isDeadlock, times: 100 })
        )
      )
    ]
  })
})
