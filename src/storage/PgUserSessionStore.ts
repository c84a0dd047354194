/**
 * Stores the sessions of users with agents in Postgres.
 *
 * Reports of one session may arrive in any order and more than once: the record is the same. While the beginning is
 * unknown, the earliest reported time stands for it.
 */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { storeOperation } from "./internal/storeOperation.ts"
import { UserSessionStore } from "../agentapi/ports/UserSessionStore.ts"

export const layer: Layer.Layer<UserSessionStore, never, SqlClient.SqlClient> = Layer.effect(
  UserSessionStore,
  SqlClient.SqlClient.useSync((sql) =>
    UserSessionStore.of({
      record: ({ agentName, appName, at, connectionId, end, ip, type, workspace }) =>
        sql`
          INSERT INTO connection_logs AS stored
            (id, connect_time, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type,
             app_name, ip, connection_id, disconnect_time, code, disconnect_reason)
          VALUES
            (gen_random_uuid(), ${DateTime.toDateUtc(at)}, ${workspace.organizationId}, ${workspace.ownerId},
             ${workspace.id}, ${workspace.name}, ${agentName}, ${type}, ${appName}, ${ip}, ${connectionId},
             ${end && DateTime.toDateUtc(at)}, ${end && end.code}, ${end && end.reason})
          ON CONFLICT (connection_id, workspace_id, agent_name) DO UPDATE SET
            connect_time = least(stored.connect_time, excluded.connect_time),
            app_name = coalesce(stored.app_name, excluded.app_name),
            ip = coalesce(stored.ip, excluded.ip),
            disconnect_time = coalesce(stored.disconnect_time, excluded.disconnect_time),
            code = coalesce(stored.code, excluded.code),
            disconnect_reason = coalesce(stored.disconnect_reason, excluded.disconnect_reason)`.pipe(
          Effect.asVoid,
          storeOperation(sql, "calls", "record a connection")
        )
    })
  )
)
