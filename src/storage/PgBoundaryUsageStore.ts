/** Stores the usage of boundaries in Postgres: one row for each replica. */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { storeOperation } from "./internal/storeOperation.ts"
import { BoundaryUsageStore } from "../usage/BoundaryUsageStore.ts"

export const layer: Layer.Layer<BoundaryUsageStore, never, SqlClient.SqlClient> = Layer.effect(
  BoundaryUsageStore,
  SqlClient.SqlClient.useSync((sql) =>
    BoundaryUsageStore.of({
      write: (replicaId, { recent, total }, at) =>
        // xmax is 0 in a row that this statement inserted, and set in a row that it updated
        sql<{ isNew: boolean }>`
          INSERT INTO boundary_usage_stats
            (replica_id, unique_workspaces, unique_users, allowed_requests, denied_requests, window_start, updated_at)
          VALUES
            (${replicaId}, ${recent.workspaces}, ${recent.users}, ${recent.allowed}, ${recent.denied},
             ${DateTime.toDateUtc(at)}, ${DateTime.toDateUtc(at)})
          ON CONFLICT (replica_id) DO UPDATE SET
            unique_workspaces = ${total.workspaces},
            unique_users = ${total.users},
            allowed_requests = ${total.allowed},
            denied_requests = ${total.denied},
            updated_at = excluded.updated_at
          RETURNING xmax = 0 AS "isNew"`.pipe(
          Effect.map(([row]) => row?.isNew ?? false),
          storeOperation(sql, "background", "write the use of boundaries")
        )
    })
  )
)
