/**
 * Brings the schema up to date: first the migrations, then the database functions of the stores.
 *
 * - Both run in transactions under a lock, so that only one of the processes that start together does the work.
 * - Migrations only add. A schema that is newer than this version therefore works, as in a rolling upgrade and after a
 *   rollback; this is logged as a warning.
 * - A connection that breaks undoes the migration that is under way, which is made again, for up to 30 s.
 * - A migration that waits for a lock logs the sessions that hold it, every 5 s.
 */
import { Effect, Schedule } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as StartAttempts from "../../platform/StartAttempts.ts"
import { migrations } from "../Migrations.ts"
import * as PgMetadataStore from "../PgMetadataStore.ts"
import { install } from "./definition.ts"
import { mayComeUp } from "./mayComeUp.ts"
import { rootOf } from "../../platform/RootCause.ts"
import { PostgresError } from "./postgresError.ts"

// separate from the table of an application that uses this library, whose migrations have other numbers
const table = "metadata_batcher_migrations"

const latest = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

/**
 * Logs every 5 s the sessions that block our sessions in this database, without their statements, which may hold
 * values.
 */
const reportWaits: Effect.Effect<never, never, SqlClient.SqlClient> = SqlClient.SqlClient.use(
  (sql) => sql<{
    readonly pid: number
    readonly application: string
    readonly state: string
    readonly seconds: number
  }>`
    SELECT DISTINCT
      blocking.pid,
      blocking.application_name AS application,
      coalesce(blocking.state, '') AS state,
      coalesce(extract(epoch FROM clock_timestamp() - blocking.xact_start), 0)::int4 AS seconds
    FROM pg_stat_activity AS waiting
    CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocker (pid)
    JOIN pg_stat_activity AS blocking ON blocking.pid = blocker.pid
    WHERE waiting.datname = current_database()
      AND waiting.application_name = current_setting('application_name')
      AND waiting.wait_event_type = 'Lock'`
).pipe(
  Effect.tap((sessions) =>
    sessions.length === 0
      ? Effect.void
      : Effect.logWarning(
          `a migration waits for ${sessions
            .map(({ application, pid, seconds, state }) => `process ${pid} (${application}, ${state}, ${seconds} s)`)
            .join(", ")}`
        )
  ),
  Effect.ignore({ log: "Debug", message: "cannot read what a migration waits for" }),
  Effect.schedule(Schedule.spaced("5 seconds")),
  Effect.andThen(Effect.never)
)

/** Returns the names of the migrations that were applied. */
export const migrate: Effect.Effect<ReadonlyArray<string>, PostgresError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const applied = yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })
    const names = applied.map(([, name]) => name)
    if (names.length > 0) yield* Effect.logInfo("migrated the schema").pipe(Effect.annotateLogs({ migrations: names }))

    const replaced = yield* install(PgMetadataStore.definitions, table)
    if (replaced.length > 0) {
      yield* Effect.logInfo("replaced functions of the schema").pipe(Effect.annotateLogs({ functions: replaced }))
    }

    const ahead = yield* sql<{ name: string }>`
      SELECT name FROM ${sql(table)} WHERE migration_id > ${latest} ORDER BY migration_id`
    if (ahead.length > 0) {
      yield* Effect.logWarning(`the schema is ahead of this version: ${ahead.map(({ name }) => name).join(", ")}`)
    }
    return names
  }
).pipe(
  (self) => Effect.raceFirst(self, reportWaits),
  // a failed migration is a defect of the migrator
  Effect.catchDefect((defect) => (mayComeUp(defect) ? Effect.fail(defect) : Effect.die(defect))),
  Effect.tapError((error) =>
    mayComeUp(error) ? Effect.logWarning(`the schema is brought up to date again: ${rootOf(error)}`) : Effect.void
  ),
  Effect.retry({ while: mayComeUp, schedule: StartAttempts.schedule("30 seconds") }),
  Effect.mapError(
    (cause) => new PostgresError({ reason: "schema", detail: `${cause.message}: ${rootOf(cause)}`, cause })
  )
)
