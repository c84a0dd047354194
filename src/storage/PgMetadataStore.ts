/**
 * Metadata in Postgres.
 *
 * - A batch is one statement, prepared once whatever its size: it is written as a whole or not at all.
 * - Rows are locked in the order of agent and key, so that replicas that write the same rows wait for each other instead of
 *   locking each other out. Should something else lock them in another order, the batch is tried again a few times.
 * - A row that is older than what is stored changes nothing; one of the same time replaces it.
 * - A declared key whose row is missing gets one: with its first sample, and again after a crash of the database, which
 *   empties the table of values. That takes a second statement, when rows of a batch found nothing to update; it leaves
 *   alone the rows that are there. When it fails the batch has failed, and writing that again does no harm; a batcher
 *   that discards failed batches counts all of it as lost then, and announces nothing of what was updated.
 * - A read of many agents is one statement. It looks them up one by one, so that it costs what it finds and not what there is.
 * - Reads begin with the declarations: a declared key is there before its first sample, and after its value was lost.
 * - What takes longer than its timeout is cancelled on the server. From a connection that is dead there is no answer to
 *   that either: the driver abandons it up to 5 s later.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, type Duration, Effect, Layer, Schedule, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import { AgentId } from "../domain/Ids.ts"
import type { MetadataRow } from "../domain/Metadata.ts"
import { array, column } from "./internal/column.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export interface Options {
  /** How long a batch may take, with the wait for a connection and with further attempts. Default: 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** How long a read may take, of however many agents, with the wait for a connection. Default: 10 seconds. */
  readonly readTimeout?: Duration.Input | undefined
}

/** Provides `MetadataStore` over a database whose schema is up to date. */
export const layer = (options?: Options): Layer.Layer<MetadataStore, never, SqlClient.SqlClient> =>
  Layer.effect(MetadataStore, make(options))

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const sql = yield* SqlClient.SqlClient

  const samples = (rows: ReadonlyArray<MetadataRow>) => sql`
    ${column(PgTypes.OID.uuid, rows, (row) => row.agentId)}::uuid[],
    ${column(PgTypes.OID.text, rows, (row) => row.key)}::text[],
    ${column(PgTypes.OID.text, rows, (row) => row.value)}::text[],
    ${column(PgTypes.OID.text, rows, (row) => row.error)}::text[],
    ${column(PgTypes.OID.timestamptz, rows, (row) => DateTime.toEpochMillis(row.collectedAt))}::timestamptz[]`

  const update = (rows: ReadonlyArray<MetadataRow>) => sql<Changes>`
    SELECT updated, changed_agent_ids AS agents FROM update_workspace_agent_metadata(${samples(rows)})`

  // a row that another replica makes at the same time is there after all
  const insertMissing = (rows: ReadonlyArray<MetadataRow>) => sql<{ agentId: string }>`
    INSERT INTO workspace_agent_metadata AS stored (workspace_agent_id, key, value, error, collected_at)
    SELECT sample.*
    FROM unnest(${samples(rows)}) AS sample (workspace_agent_id, key, value, error, collected_at)
    JOIN workspace_agent_metadata_descriptions USING (workspace_agent_id, key)
    WHERE NOT EXISTS (
      SELECT FROM workspace_agent_metadata AS stored
      WHERE stored.workspace_agent_id = sample.workspace_agent_id AND stored.key = sample.key
    )
    ORDER BY workspace_agent_id, key
    ON CONFLICT (workspace_agent_id, key) DO UPDATE
      SET value = excluded.value, error = excluded.error, collected_at = excluded.collected_at
      WHERE stored.collected_at <= excluded.collected_at
    RETURNING stored.workspace_agent_id AS "agentId"`

  const write = Effect.fnUntraced(function* (rows: ReadonlyArray<MetadataRow>) {
    const [changes] = yield* update(rows)
    const { agents, updated } = changes!
    if (updated === rows.length) return agents
    const inserted = yield* insertMissing(rows)
    return new Set([...agents, ...inserted.map(({ agentId }) => agentId)])
  })

  // OFFSET 0 keeps the planner from looking at agents together, for which it may read whole tables
  const find = (agentIds: ReadonlyArray<AgentId>, keys: ReadonlyArray<string>) => sql<Found>`
    SELECT found.*
    FROM unnest(${array(PgTypes.OID.uuid, agentIds)}) AS asked (id)
    CROSS JOIN LATERAL (
      SELECT
        workspace_agent_id AS "agentId",
        description.key,
        display_name AS "displayName",
        script,
        description.interval,
        timeout,
        display_order AS "displayOrder",
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
        Effect.tapError((error) =>
          isConflict(error) ? Effect.logDebug("Lost a conflict over rows", error) : Effect.void
        ),
        Effect.retry({ while: isConflict, times: 5, schedule: Schedule.jittered(Schedule.exponential("10 millis")) }),
        storeOperation("write metadata", options.writeTimeout)
      )
      return yield* Effect.orDie(decodeAgents([...changed]))
    }),
    read: Effect.fn("PgMetadataStore.read")(function* (agentId, keys = []) {
      const found = yield* find([agentId], keys).pipe(storeOperation("read metadata", options.readTimeout))
      return yield* Effect.orDie(decodeFound(found))
    }),
    readMany: Effect.fn("PgMetadataStore.readMany")(function* (agentIds) {
      const found = yield* find(agentIds, []).pipe(storeOperation("read metadata", options.readTimeout))
      const decoded = yield* Effect.orDie(decodeFound(found))
      return Map.groupBy(decoded, (_, index) => found[index]!.agentId)
    })
  })
})

/** What an update has done. */
interface Changes {
  readonly updated: number
  readonly agents: ReadonlyArray<string>
}

/** What a read has found, of which the rest is decoded. */
interface Found {
  readonly agentId: AgentId
}

const byAgentAndKey = (a: MetadataRow, b: MetadataRow): number =>
  a.agentId === b.agentId ? (a.key < b.key ? -1 : 1) : a.agentId < b.agentId ? -1 : 1

const decodeAgents = Schema.decodeUnknownEffect(Schema.Array(AgentId))

const decodeFound = Schema.decodeUnknownEffect(
  Schema.Array(
    Schema.Struct({
      key: Schema.String,
      displayName: Schema.String,
      script: Schema.String,
      interval: Schema.DurationFromNanos,
      timeout: Schema.DurationFromNanos,
      displayOrder: Schema.Int,
      value: Schema.String,
      error: Schema.String,
      collectedAt: Schema.DateTimeUtcFromDate
    })
  )
)

const isConflict = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError"
