/**
 * Stores metadata in Postgres.
 *
 * - A batch of any size is one statement, prepared once. It is written as a whole or not at all.
 * - A statement locks rows in the order of agent and key, so that replicas that write the same rows wait for each other
 *   instead of running into a deadlock. A batch that loses a conflict with other statements is tried again.
 * - A row that is older than the stored one changes nothing; a row of the same time replaces the stored one. When a row
 *   is more than a minute ahead of the database, it gets the database's time less the age of the row. When the stored
 *   row is that far ahead, any row replaces it.
 * - A declared key without a row gets one with its first sample, and again after a crash of the database, which empties
 *   the table of values. This takes a second statement when some rows of a batch were not updated. When that statement
 *   fails, the batch fails, and writing the batch again is harmless.
 * - Every row is counted: as stored, stale or undeclared.
 * - A read of many agents is one statement that looks up the agents one by one. Reads begin with the declarations: a
 *   declared key exists before its first sample, and after its value was lost.
 *
 * @example
 * ```ts
 * import { Config, Console, DateTime, Effect, Layer } from "effect"
 * import { Ids, MetadataBatcher } from "metadata-batcher"
 * import * as PgMetadataStore from "metadata-batcher/PgMetadataStore"
 * import * as PgPubSub from "metadata-batcher/PgPubSub"
 * import * as Postgres from "metadata-batcher/Postgres"
 *
 * const Database = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => Postgres.layerMigrated({ url })))
 * const Ports = Layer.provide(Layer.merge(PgMetadataStore.layer(), PgPubSub.layer()), Database)
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = Effect.gen(function* () {
 *   const batcher = yield* MetadataBatcher.MetadataBatcher
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 *   const { outcome } = yield* batcher.flush
 *   yield* Console.log(outcome)
 * })
 * await Effect.runPromise(Effect.provide(program, Layer.provide(MetadataBatcher.layer(), Ports)))
 * // Output:
 * // completed
 * ```
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, type Duration, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import * as MetadataStoreMetrics from "../metadata/MetadataStoreMetrics.ts"
import { AgentId } from "../domain/Ids.ts"
import type { MetadataRow } from "../domain/Metadata.ts"
import { array, column } from "./internal/column.ts"
import type { Definition } from "./internal/definition.ts"
import { declaredFields, descriptionColumns } from "./internal/descriptionRow.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { PresentFor } from "./PgClock.ts"

/** The times of the store. */
export interface Options {
  /** The longest time of a write, including the wait for a connection and further attempts. Default: 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** The longest time of a read, including the wait for a connection. Default: 10 seconds. */
  readonly readTimeout?: Duration.Input | undefined
}

/** Provides `MetadataStore` over a database whose schema is up to date. */
export const layer = (options?: Options): Layer.Layer<MetadataStore, never, SqlClient.SqlClient> =>
  Layer.effect(MetadataStore, make(options))

/** Returns a store of metadata over a database whose schema is up to date. Its operations fail with a `StoreError`. */
export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const sql = yield* SqlClient.SqlClient
  const presentFor = yield* PresentFor

  const samples = (rows: ReadonlyArray<MetadataRow>, sentAt: Date) => sql`
    ${column(PgTypes.OID.uuid, rows, (row) => row.agentId)}::uuid[],
    ${column(PgTypes.OID.text, rows, (row) => row.key)}::text[],
    ${column(PgTypes.OID.text, rows, (row) => row.value)}::text[],
    ${column(PgTypes.OID.text, rows, (row) => row.error)}::text[],
    ${column(PgTypes.OID.timestamptz, rows, (row) => DateTime.toEpochMillis(row.collectedAt))}::timestamptz[],
    ${sentAt}::timestamptz`

  const update = (rows: ReadonlyArray<MetadataRow>, sentAt: Date) => sql<Updated>`
    SELECT updated, changed_agent_ids AS agents, ahead FROM update_workspace_agent_metadata(${samples(rows, sentAt)})`

  const complete = (rows: ReadonlyArray<MetadataRow>, sentAt: Date) => sql<Completed>`
    SELECT written, changed_agent_ids AS agents, ahead, undeclared
    FROM complete_workspace_agent_metadata(${samples(rows, sentAt)})`

  const write = Effect.fnUntraced(function* (rows: ReadonlyArray<MetadataRow>) {
    const newest = rows.reduce((time, { collectedAt }) => Math.max(time, DateTime.toEpochMillis(collectedAt)), 0)
    const sentAt = Effect.map(presentFor(newest), (millis) => new Date(millis))
    const [updated] = yield* update(rows, yield* sentAt)
    if (updated!.updated === rows.length) {
      yield* MetadataStoreMetrics.count({ stored: rows.length, stale: 0, undeclared: 0, ahead: updated!.ahead })
      return updated!.agents
    }
    const [completed] = yield* complete(rows, yield* sentAt)
    const { ahead, undeclared, written } = completed!
    const stored = updated!.updated + written
    yield* MetadataStoreMetrics.count({
      stored,
      undeclared,
      stale: rows.length - stored - undeclared,
      ahead: updated!.ahead + ahead
    })
    return new Set([...updated!.agents, ...completed!.agents])
  })

  // without OFFSET 0 the planner joins all agents at once, and may read whole tables for that
  const find = (agentIds: ReadonlyArray<AgentId>, keys: ReadonlyArray<string>) => sql<Found>`
    SELECT found.*
    FROM unnest(${array(PgTypes.OID.uuid, agentIds)}) AS asked (id)
    CROSS JOIN LATERAL (
      SELECT
        ${descriptionColumns(sql)},
        coalesce(value, '') AS value,
        coalesce(error, '') AS error,
        coalesce(collected_at, '0001-01-01 00:00:00+00') AS "collectedAt"
      FROM workspace_agent_metadata_descriptions AS description
      LEFT JOIN workspace_agent_metadata USING (workspace_agent_id, key)
      WHERE workspace_agent_id = asked.id
        AND (${keys.length === 0} OR description.key = ANY (${array(PgTypes.OID.text, keys)}))
      OFFSET 0
    ) AS found`

  return MetadataStore.of({
    updateBatch: Effect.fn("PgMetadataStore.updateBatch")(function* (rows) {
      if (rows.length === 0) return []
      const changed = yield* write(rows.toSorted(byAgentAndKey)).pipe(
        storeOperation(sql, "writes", "write metadata", options.writeTimeout)
      )
      return yield* Effect.orDie(decodeAgents([...changed]))
    }),
    read: Effect.fn("PgMetadataStore.read")(function* (agentId, keys = []) {
      const found = yield* find([agentId], keys).pipe(
        storeOperation(sql, "readers", "read metadata", options.readTimeout)
      )
      return yield* Effect.orDie(decodeFound(found))
    }),
    readMany: Effect.fn("PgMetadataStore.readMany")(function* (agentIds) {
      const found = yield* find(agentIds, []).pipe(storeOperation(sql, "readers", "read metadata", options.readTimeout))
      const decoded = yield* Effect.orDie(decodeFound(found))
      return Map.groupBy(decoded, (_, index) => found[index]!.agentId)
    })
  })
})

interface Updated {
  readonly updated: number
  readonly agents: ReadonlyArray<string>
  /** The number of rows with a time ahead of the database. */
  readonly ahead: number
}

interface Completed {
  readonly written: number
  readonly agents: ReadonlyArray<string>
  /** The number of rows with a time ahead of the database, or written over such a row. */
  readonly ahead: number
  readonly undeclared: number
}

/** The part of a row that is read without decoding. */
interface Found {
  readonly agentId: AgentId
}

const byAgentAndKey = (a: MetadataRow, b: MetadataRow): number =>
  a.agentId === b.agentId ? (a.key < b.key ? -1 : 1) : a.agentId < b.agentId ? -1 : 1

const decodeAgents = Schema.decodeUnknownEffect(Schema.Array(AgentId))

const decodeFound = Schema.decodeUnknownEffect(
  Schema.Array(
    Schema.Struct({
      ...declaredFields,
      value: Schema.String,
      error: Schema.String,
      collectedAt: Schema.DateTimeUtcFromDate
    })
  )
)

const parameters = `agent_ids uuid[], keys text[], "values" text[], errors text[], collected_ats timestamptz[], sent_at timestamptz`

const argumentTypes = "uuid[], text[], text[], text[], timestamptz[], timestamptz"

// rows are locked in the order of the arrays only if the plan looks them up one by one, however many they are
const planSettings = `
  SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off
  SET enable_mergejoin = off
  SET enable_seqscan = off`

const isAhead = (time: string) => `${time} > now() + interval '1 minute'`

// the age of a sample is right even when the clock of its replica is wrong
const sampleTime = `
  CASE
    WHEN ${isAhead("sample.collected_at")} THEN now() - greatest(sent_at - sample.collected_at, interval '0')
    ELSE sample.collected_at
  END`

const sampleRows = `
  unnest(agent_ids, keys, "values", errors, collected_ats)
    AS sample (workspace_agent_id, key, value, error, collected_at)`

/**
 * The database functions that writes call.
 *
 * @internal
 */
export const definitions: ReadonlyArray<Definition> = [
  {
    signature: `update_workspace_agent_metadata(${argumentTypes})`,
    create: `
      CREATE OR REPLACE FUNCTION update_workspace_agent_metadata(${parameters})
      RETURNS TABLE (updated integer, changed_agent_ids uuid[], ahead integer)
      LANGUAGE sql VOLATILE ${planSettings}
      AS $$
        WITH written AS (
          UPDATE workspace_agent_metadata AS stored
          SET value = sample.value, error = sample.error, collected_at = ${sampleTime}
          FROM ${sampleRows}
          WHERE stored.workspace_agent_id = sample.workspace_agent_id
            AND stored.key = sample.key
            AND stored.collected_at <= ${sampleTime}
          RETURNING stored.workspace_agent_id, ${isAhead("sample.collected_at")} AS is_ahead
        )
        SELECT
          count(*)::integer,
          coalesce(array_agg(DISTINCT workspace_agent_id), '{}'),
          (count(*) FILTER (WHERE is_ahead))::integer
        FROM written
      $$`
  },
  {
    // when another replica inserts the row at the same time, this statement updates it
    signature: `complete_workspace_agent_metadata(${argumentTypes})`,
    create: `
      CREATE OR REPLACE FUNCTION complete_workspace_agent_metadata(${parameters})
      RETURNS TABLE (written integer, changed_agent_ids uuid[], ahead integer, undeclared integer)
      LANGUAGE sql VOLATILE ${planSettings}
      AS $$
        WITH repaired AS (
          UPDATE workspace_agent_metadata AS stored
          SET value = sample.value, error = sample.error, collected_at = ${sampleTime}
          FROM ${sampleRows}
          WHERE stored.workspace_agent_id = sample.workspace_agent_id
            AND stored.key = sample.key
            AND ${isAhead("stored.collected_at")}
            -- times that are both of a clock that was set back can be compared
            AND (NOT ${isAhead("sample.collected_at")} OR stored.collected_at <= sample.collected_at)
          RETURNING stored.workspace_agent_id
        ), missing AS (
          SELECT sample.* FROM ${sampleRows}
          WHERE NOT EXISTS (
            SELECT FROM workspace_agent_metadata AS stored
            WHERE stored.workspace_agent_id = sample.workspace_agent_id AND stored.key = sample.key
          )
        ), declared AS (
          SELECT sample.*
          FROM missing AS sample
          JOIN workspace_agent_metadata_descriptions USING (workspace_agent_id, key)
        ), inserted AS (
          INSERT INTO workspace_agent_metadata AS stored (workspace_agent_id, key, value, error, collected_at)
          SELECT workspace_agent_id, key, value, error, ${sampleTime}
          FROM declared AS sample
          ORDER BY workspace_agent_id, key
          ON CONFLICT (workspace_agent_id, key) DO UPDATE
            SET value = excluded.value, error = excluded.error, collected_at = excluded.collected_at
            WHERE stored.collected_at <= excluded.collected_at
          RETURNING stored.workspace_agent_id
        ), written AS (
          SELECT workspace_agent_id FROM repaired UNION ALL SELECT workspace_agent_id FROM inserted
        )
        SELECT
          (SELECT count(*) FROM written)::integer,
          coalesce((SELECT array_agg(DISTINCT workspace_agent_id) FROM written), '{}'),
          ((SELECT count(*) FROM repaired)
            + (SELECT count(*) FROM declared WHERE ${isAhead("declared.collected_at")}))::integer,
          ((SELECT count(*) FROM missing) - (SELECT count(*) FROM declared))::integer
      $$`
  }
]
