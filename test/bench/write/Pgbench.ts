/**
 * `pgbench`, which comes with Postgres: the same statement from a client that does nothing else.
 *
 * - It runs the statement that the store has prepared, as the server has it, on the same batches.
 * - A script reads a batch into variables and runs the statement with them; the figure is that of the statement alone.
 *   Reading the batch is not in it, nor is its sorting and encoding, which others do for every batch.
 * - Its connections are new in each round. The plan that an old one has settled on is theirs from the start.
 */
import { PgTypes } from "@effect/sql-pg"
import { Data, DateTime, Effect, FileSystem, Redacted, Result } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { SqlClient } from "effect/sql"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { EmbeddedPostgres } from "../../../src/storage/EmbeddedPostgres.ts"
import * as PgMetadataStore from "../../../src/storage/PgMetadataStore.ts"
import * as Postgres from "../../../src/storage/Postgres.ts"

class PgbenchError extends Data.TaggedError("PgbenchError")<{ readonly output: string }> {
  override get message() {
    return `pgbench did not say how long the statement took: ${this.output}`
  }
}

/** The version of the pgbench on the path; fails when there is none. */
export const version = ChildProcessSpawner.ChildProcessSpawner.use((spawner) =>
  Effect.map(spawner.string(ChildProcess.make("pgbench", ["--version"])), (text) => text.trim())
)

/** The parameters of the store's statement, in their order, by the names that they have in the script. */
const parameters = ["agents", "keys", "values", "errors", "times"]

/** The text of the statement that the store runs for a batch. */
const statement = Effect.fnUntraced(function* (batch: ReadonlyArray<MetadataRow>) {
  const { url } = yield* EmbeddedPostgres
  return yield* Effect.gen(function* () {
    const store = yield* PgMetadataStore.make()
    const sql = yield* SqlClient.SqlClient
    yield* store.updateBatch(batch)
    const [update] = yield* sql<{ statement: string }>`
      SELECT statement FROM pg_prepared_statements WHERE statement ~ '^\\s*SELECT updated'`
    return update!.statement
    // what a connection has prepared only that connection can see
  }).pipe(Effect.provide(Postgres.layer({ url, maxConnections: 1 })))
})

const script = (statement: string): string =>
  [
    "\\set batch (:batch + 1) % :batches",
    `SELECT ${parameters.join(", ")} FROM bench_batches WHERE size = :size AND batch = :batch \\gset`,
    `${statement.trim().replaceAll(/\$(\d)/g, (_, number) => `:${parameters[Number(number) - 1]}`)};`
  ].join("\n")

const column = (oid: number, rows: ReadonlyArray<MetadataRow>, value: (row: MetadataRow) => unknown) =>
  Result.getOrThrow(PgTypes.array(rows.map(value), oid))

/**
 * Makes the batches of each size known to the server. Answers how to write so many of a size, from one on; that answers
 * the milliseconds that one took.
 */
export const make = Effect.fnUntraced(function* (
  sizes: ReadonlyMap<number, ReadonlyArray<ReadonlyArray<MetadataRow>>>
) {
  const sql = yield* SqlClient.SqlClient
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const server = yield* EmbeddedPostgres

  yield* sql`
    CREATE UNLOGGED TABLE bench_batches (
      size integer, batch integer, agents text, keys text, "values" text, errors text, times text,
      PRIMARY KEY (size, batch)
    )`
  for (const [size, batches] of sizes) {
    for (const [batch, rows] of batches.entries()) {
      yield* sql`
        INSERT INTO bench_batches VALUES (
          ${size},
          ${batch},
          ${column(PgTypes.OID.uuid, rows, (row) => row.agentId)}::uuid[]::text,
          ${column(PgTypes.OID.text, rows, (row) => row.key)}::text[]::text,
          ${column(PgTypes.OID.text, rows, (row) => row.value)}::text[]::text,
          ${column(PgTypes.OID.text, rows, (row) => row.error)}::text[]::text,
          ${column(PgTypes.OID.timestamptz, rows, (row) => DateTime.toEpochMillis(row.collectedAt))}::timestamptz[]::text
        )`
    }
  }

  const file = yield* fs.makeTempFileScoped({ suffix: ".sql" })
  yield* fs.writeFileString(file, script(yield* statement([...sizes.values()][0]![0]!)))
  const password = new URL(Redacted.value(server.url)).password

  return Effect.fnUntraced(function* (size: number, first: number, count: number) {
    const options = Object.entries({
      host: server.host,
      port: server.port,
      username: server.username,
      protocol: "prepared",
      transactions: count,
      file
    })
    const variables = Object.entries({ size, batch: first - 1, batches: sizes.get(size)?.length ?? 0 })
    const output = yield* spawner.string(
      ChildProcess.make(
        "pgbench",
        [
          "--no-vacuum",
          "--report-per-command",
          ...options.map(([name, value]) => `--${name}=${value}`),
          ...variables.map(([name, value]) => `--define=${name}=${value}`),
          server.database
        ],
        { env: { PGPASSWORD: password, PGOPTIONS: "-c plan_cache_mode=force_generic_plan" }, extendEnv: true }
      ),
      { includeStderr: true }
    )
    const [, millis] = /^\s*([\d.]+)\s+(?:\d+\s+)?SELECT updated/m.exec(output) ?? []
    return millis === undefined ? yield* new PgbenchError({ output }) : Number(millis)
  })
})
