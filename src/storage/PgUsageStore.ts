/**
 * Stores the last use of workspaces in Postgres.
 *
 * - A statement locks rows in the order of their ids, so that replicas that write the same workspaces wait for each
 *   other.
 * - A time that is not later than the stored one changes nothing.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { UsageStore } from "../usage/UsageStore.ts"
import { array } from "./internal/column.ts"
import { storeOperation } from "./internal/storeOperation.ts"

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
        storeOperation(sql, "write the last use of workspaces")
      )
    })
  )
)
