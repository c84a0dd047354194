/**
 * Stores the last use of workspaces in Postgres.
 *
 * - A statement locks rows in the order of their ids, so that replicas that write the same workspaces wait for each
 *   other.
 * - A time that is not later than the stored one changes nothing.
 *
 * @example
 * ```ts
 * import { Config, Console, Effect, Layer } from "effect"
 * import { Ids, UsageTracker } from "metadata-batcher"
 * import * as PgUsageStore from "metadata-batcher/PgUsageStore"
 * import * as Postgres from "metadata-batcher/Postgres"
 *
 * const Database = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => Postgres.layerMigrated({ url })))
 * const Tracking = UsageTracker.layer().pipe(Layer.provide(PgUsageStore.layer), Layer.provide(Database))
 *
 * const workspace = Ids.WorkspaceId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = Effect.gen(function* () {
 *   const { add, flush } = yield* UsageTracker.UsageTracker
 *   yield* add(workspace)
 *   yield* flush
 *   yield* Console.log("flushed")
 * })
 * await Effect.runPromise(Effect.provide(program, Tracking))
 * // Output:
 * // flushed
 * ```
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { UsageStore } from "../usage/UsageStore.ts"
import { array } from "./internal/column.ts"
import { storeOperation } from "./internal/storeOperation.ts"

/** Provides `UsageStore` over a database whose schema is up to date. */
export const layer: Layer.Layer<UsageStore, never, SqlClient.SqlClient> = Layer.effect(
  UsageStore,
  SqlClient.SqlClient.useSync((sql) =>
    UsageStore.of({
      updateLastUsedAt: Effect.fn("PgUsageStore.updateLastUsedAt")(
        function* (workspaceIds, lastUsedAt) {
          const at = DateTime.toDateUtc(lastUsedAt)
          yield* sql`
            UPDATE workspaces SET last_used_at = ${at}
            WHERE id IN (
              SELECT id FROM workspaces
              WHERE id = ANY (${array(PgTypes.OID.uuid, workspaceIds)})
                AND last_used_at < ${at}
              ORDER BY id
              FOR UPDATE
            )`
        },
        storeOperation(sql, "background", "write the last use of workspaces")
      )
    })
  )
)
