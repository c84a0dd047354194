/** The connections of agents in Postgres. */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ConnectionStore } from "../agentapi/ConnectionMonitor.ts"
import { attempt } from "./internal/agentStore.ts"

export const layer: Layer.Layer<ConnectionStore, never, SqlClient.SqlClient> = Layer.effect(
  ConnectionStore,
  SqlClient.SqlClient.useSync((sql) =>
    ConnectionStore.of({
      note: (agentId, { disconnectedAt, firstConnectedAt, lastConnectedAt }, replicaId) =>
        sql`
          UPDATE workspace_agents SET
            first_connected_at = ${DateTime.toDateUtc(firstConnectedAt)},
            last_connected_at = ${DateTime.toDateUtc(lastConnectedAt)},
            disconnected_at = ${disconnectedAt && DateTime.toDateUtc(disconnectedAt)},
            last_connected_replica_id = ${replicaId},
            updated_at = now()
          WHERE id = ${agentId}`.pipe(Effect.asVoid, attempt("note the connection of an agent")),

      isLatest: (buildId, workspaceId) =>
        sql`
          SELECT FROM workspace_builds
          WHERE id = ${buildId}
            AND build_number = (SELECT max(build_number) FROM workspace_builds WHERE workspace_id = ${workspaceId})`.pipe(
          Effect.map((found) => found.length > 0),
          attempt("read the latest build of a workspace")
        )
    })
  )
)
