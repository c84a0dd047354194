/**
 * Stores notifications in Postgres, in a table from which another program sends them.
 *
 * Two messages are duplicates when user, template, labels, data, targets, day and key are equal, in any order of
 * fields.
 */
import { PgTypes } from "@effect/sql-pg"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Notifications } from "../agentapi/ports/Notifications.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { array } from "./internal/column.ts"

export const layer: Layer.Layer<Notifications, never, SqlClient.SqlClient> = Layer.effect(
  Notifications,
  SqlClient.SqlClient.useSync((sql) =>
    Notifications.of({
      enqueue: Effect.fn("PgNotifications.enqueue")(
        function* ({ createdBy, data, dedupeKey, labels, targets, template, userId }) {
          const createdAt = yield* DateTime.nowAsDate
          yield* sql`
            INSERT INTO notification_messages
              (id, user_id, template, labels, data, targets, created_by, created_at, dedupe_hash)
            SELECT gen_random_uuid(), message.*, sha256(convert_to(jsonb_build_array(
              user_id, template, labels, data, targets, (created_at AT TIME ZONE 'UTC')::date,
              ${dedupeKey ?? null}::text
            )::text, 'UTF8'))
            FROM (
              SELECT
                ${userId}::uuid AS user_id,
                ${template}::text AS template,
                ${JSON.stringify(labels)}::jsonb AS labels,
                ${JSON.stringify(data)}::jsonb AS data,
                ${array(PgTypes.OID.uuid, targets)} AS targets,
                ${createdBy}::text AS created_by,
                ${createdAt} AS created_at
            ) AS message
            ON CONFLICT (dedupe_hash) DO NOTHING`
        },
        storeOperation(sql, "calls", "enqueue a notification")
      )
    })
  )
)
