/**
 * Other clients of Postgres. They run the statement of the store, with the rows sorted as the store sorts them, and as
 * their READMEs say: prepared by name, arrays as parameters.
 */
import { Data, DateTime, Effect, Redacted } from "effect"
import { DatabaseError, Pool } from "pg"
import PostgresJs from "postgres"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { EmbeddedPostgres } from "../../../src/postgres/EmbeddedPostgres.ts"

const statement = `
  SELECT updated, changed_agent_ids AS agents
  FROM update_workspace_agent_metadata($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], now())`

export class PgError extends Data.TaggedError("PgError")<{ readonly cause: unknown }> {}

/** As the store has it. */
export const sorted = (rows: ReadonlyArray<MetadataRow>): ReadonlyArray<MetadataRow> =>
  rows.toSorted((a, b) => (a.agentId === b.agentId ? (a.key < b.key ? -1 : 1) : a.agentId < b.agentId ? -1 : 1))

const columns = (rows: ReadonlyArray<MetadataRow>) =>
  [
    rows.map(({ agentId }) => agentId),
    rows.map(({ key }) => key),
    rows.map(({ value }) => value),
    rows.map(({ error }) => error)
  ] as const

/** node-postgres, as `pg` calls itself. Writes a batch over a pool, in the order given. */
export const pg = Effect.fnUntraced(function* (
  order: (rows: ReadonlyArray<MetadataRow>) => ReadonlyArray<MetadataRow>
) {
  const { url } = yield* EmbeddedPostgres
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => new Pool({ connectionString: Redacted.value(url) })),
    (pool) => Effect.promise(() => pool.end())
  )
  return (batch: ReadonlyArray<MetadataRow>) =>
    Effect.tryPromise({
      try: () => {
        const rows = order(batch)
        const times = rows.map(({ collectedAt }) => DateTime.toDateUtc(collectedAt))
        return pool.query({ name: "update", text: statement, values: [...columns(rows), times] })
      },
      catch: (cause) => new PgError({ cause })
    })
})

export const isDeadlock = ({ cause }: PgError): boolean => cause instanceof DatabaseError && cause.code === "40P01"

/** Postgres.js, the package `postgres`. It takes no dates in an array. */
export const postgresJs = Effect.gen(function* () {
  const { url } = yield* EmbeddedPostgres
  const sql = yield* Effect.acquireRelease(
    Effect.sync(() => PostgresJs(Redacted.value(url))),
    (sql) => Effect.promise(() => sql.end())
  )
  return (rows: ReadonlyArray<MetadataRow>) =>
    Effect.promise(() => {
      const batch = sorted(rows)
      const [agents, keys, values, errors] = columns(batch)
      const times = batch.map(({ collectedAt }) => DateTime.formatIso(collectedAt))
      return sql`
        SELECT updated, changed_agent_ids AS agents FROM update_workspace_agent_metadata(
          ${agents}::uuid[], ${keys}::text[], ${values}::text[], ${errors}::text[], ${times}::timestamptz[], now()
        )`
    })
})
