/**
 * The write path: the cost of a batch for the database and its client, the savings of batching, and conflicts of two
 * writers.
 */
import { Effect, Random } from "effect"
import type * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"
import * as Conflicts from "./write/conflicts.ts"
import * as Database from "./write/Database.ts"
import * as Pieces from "./write/pieces.ts"
import * as Sizes from "./write/sizes.ts"

const scales = {
  full: {
    agents: 10_000,
    sizes: [100, 500, 2_000, 5_000],
    distinctRows: 60_000,
    rowsPerRound: 40_000,
    flush: 500,
    duration: "2 seconds"
  },
  smoke: { agents: 50, sizes: [100, 500], distinctRows: 500, rowsPerRound: 500, flush: 20, duration: "20 millis" }
} as const

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { distinctRows, duration, flush, rowsPerRound, sizes } = scales[scale]
  // the rows of a batch are not neighbours in the database
  const agents = yield* Random.shuffle(yield* Database.Agents).pipe(Random.withSeed("agents"))
  const rows = Workload.roll(agents).flatMap(Workload.rowsOf).slice(0, distinctRows)
  return [
    ...(yield* Sizes.tables(rows, sizes, rowsPerRound)),
    yield* Pieces.table(rows, flush),
    yield* Conflicts.table(rows, flush, duration)
  ]
})

export const write: Table.Part = {
  name: "write",
  description: "batches into Postgres",
  tables: (scale) => Database.over(scales[scale].agents, tables(scale))
}
