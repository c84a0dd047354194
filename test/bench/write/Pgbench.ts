/**
 * `pgbench`, which comes with Postgres: the same statement from a client that does nothing else.
 *
 * - It runs the statement that the store has prepared, as the server has it, on the same batches.
 * - A script reads a batch into variables and runs the statement with them; the figure is that of the statement alone.
 *   Reading the batch is not in it, nor is its sorting and encoding, which others do for every batch. Of the processor time
 *   that goes into both, that of a run which only reads is taken off.
 * - Its connections are new in each round. The plan that an old one has settled on is theirs from the start.
 */
import { PgTypes } from "@effect/sql-pg"
import { Data, DateTime, Effect, FileSystem, Redacted, Result } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { SqlClient } from "effect/sql"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { EmbeddedPostgres } from "../../../src/postgres/EmbeddedPostgres.ts"
import * as PgMetadataStore from "../../../src/storage/PgMetadataStore.ts"
import * as PostgresClient from "../../../src/storage/Postgres.ts"
import * as Postgres from "../Postgres.ts"
import * as Processes from "../Processes.ts"

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
    // a prepared statement is visible to its own connection alone
  }).pipe(Effect.provide(PostgresClient.layer({ url, maxConnections: 1 })))
})

const reading = [
  "\\set batch (:batch + 1) % :batches",
  `SELECT ${parameters.join(", ")} FROM bench_batches WHERE size = :size AND batch = :batch \\gset`
].join("\n")

const writing = (statement: string): string =>
  `${reading}\n${statement.trim().replaceAll(/\$(\d)/g, (_, number) => `:${parameters[Number(number) - 1]}`)};`

const column = (oid: number, rows: ReadonlyArray<MetadataRow>, value: (row: MetadataRow) => unknown) =>
  Result.getOrThrow(PgTypes.array(rows.map(value), oid))

/**
 * Makes the batches of each size known to the server. Returns how to write so many of a size, from one on; that answers
 * the milliseconds that one took, and the processor time of its rows.
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

  const fileOf = (script: string) =>
    Effect.tap(fs.makeTempFileScoped({ suffix: ".sql" }), (file) => fs.writeFileString(file, script))
  const files = {
    reading: yield* fileOf(reading),
    writing: yield* fileOf(writing(yield* statement([...sizes.values()][0]![0]!)))
  }
  const password = new URL(Redacted.value(server.url)).password

  const run = Effect.fnUntraced(function* (file: string, size: number, first: number, count: number) {
    const options = Object.entries({
      host: server.host,
      port: server.port,
      username: server.username,
      protocol: "prepared",
      transactions: count,
      file
    })
    const variables = Object.entries({ size, batch: first - 1, batches: sizes.get(size)?.length ?? 0 })
    const before = yield* cpuMillis
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
    const after = yield* cpuMillis
    return { output, client: after.client - before.client, server: after.server - before.server }
  })

  return Effect.fnUntraced(function* (size: number, first: number, count: number) {
    const whole = yield* run(files.writing, size, first, count)
    const part = yield* run(files.reading, size, first, count)
    const [, millis] = /^\s*([\d.]+)\s+(?:\d+\s+)?SELECT updated/m.exec(whole.output) ?? []
    if (millis === undefined) return yield* new PgbenchError({ output: whole.output })
    // the processor time of a process is known to the hundredth of a second
    const perRow = (millis: number) => (Math.max(0, millis) * 1_000) / (size * count)
    return {
      millis: Number(millis),
      ...(Number.isNaN(whole.server)
        ? {}
        : {
            "client CPU us/row": perRow(whole.client - part.client),
            "server CPU us/row": perRow(whole.server - part.server)
          })
    }
  })
})

/** So far: of the children of this process that have ended, and of the server. */
const cpuMillis = Effect.map(Postgres.cpuMillis, (server) => ({
  client: Processes.endedChildrenMillis() ?? Number.NaN,
  server: server ?? Number.NaN
}))
