/** Batches of each size, by the store, by other clients, and by `pgbench`. */
import { Effect, Result } from "effect"
import { MetadataStore } from "../../../src/metadata/MetadataStore.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import * as Postgres from "../Postgres.ts"
import * as Table from "../Table.ts"
import * as Workload from "../Workload.ts"
import * as Circle from "./Circle.ts"
import * as Database from "./Database.ts"
import * as Peers from "./peers.ts"
import * as Pgbench from "./Pgbench.ts"

/** A table for each size; a round writes so many rows. */
export const tables = Effect.fnUntraced(function* (
  rows: ReadonlyArray<MetadataRow>,
  sizes: ReadonlyArray<number>,
  rowsPerRound: number
) {
  const store = yield* MetadataStore
  const services = yield* Effect.context<Effect.Services<typeof Postgres.cpuMillis>>()
  const version = yield* Postgres.version
  const batches = new Map(sizes.map((size) => [size, Workload.chunksOf(rows, size)]))
  const pgbench = Result.isSuccess(yield* Effect.result(Pgbench.version)) ? yield* Pgbench.make(batches) : undefined
  const clients = [
    { name: "PgMetadataStore", write: store.updateBatch },
    { name: "pg", write: yield* Peers.pg(Peers.sorted), remark: "tries no conflict again; the rest the same" },
    { name: "postgres", write: yield* Peers.postgresJs, remark: "tries no conflict again; the rest the same" }
  ]

  return [...batches].map(([size, all]) => {
    const count = rowsPerRound / size
    const nextOfPgbench = Circle.make(all)
    return Table.make({
      name: `batches of ${size}`,
      title: `batches of ${size}`,
      notes: [
        `Postgres ${version} as the service embeds it; a round writes ${rowsPerRound} rows in batches, one after the other.`,
        "Every row is found and changed. Server CPU is that of all its processes."
      ],
      columns: { "ms/batch": 2, "rows/s": 0, "client CPU us/row": 2, "server CPU us/row": 2 },
      reference: "PgMetadataStore",
      contestants: [
        ...clients.map(({ write, ...client }) => {
          const next = Circle.make(all)
          return {
            ...client,
            round: Effect.suspend(() =>
              Database.read(
                rowsPerRound,
                Effect.forEach(next(count).elements, (batch): Effect.Effect<unknown, unknown> => write(batch), {
                  discard: true
                })
              )
            ).pipe(
              Effect.map(({ millis, ...figures }) => ({ "ms/batch": millis / count, ...figures })),
              Effect.provideContext(services)
            )
          }
        }),
        {
          name: "pgbench",
          remark: "limit: the same statement; its batches are sorted and in text already",
          ...(pgbench === undefined
            ? { skipped: "there is no pgbench on the path" }
            : {
                round: Effect.suspend(() => pgbench(size, nextOfPgbench(count).first, count)).pipe(
                  Effect.map(({ millis, ...figures }) => ({
                    "ms/batch": millis,
                    "rows/s": (size / millis) * 1_000,
                    ...figures
                  })),
                  Effect.provideContext(services)
                )
              })
        }
      ]
    })
  })
})
