/** Stores the keys of resume tokens in Postgres. Replicas that rotate the keys at the same time add only one key. */
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { ResumeKeyStore } from "../tailnet/ResumeKeyStore.ts"
import { storeOperation } from "./internal/storeOperation.ts"

const Key = Schema.Struct({
  id: Schema.String,
  secret: Schema.Uint8Array,
  startsAt: Schema.DateTimeUtcFromDate,
  endsAt: Schema.DateTimeUtcFromDate
})

export const layer: Layer.Layer<ResumeKeyStore, never, SqlClient.SqlClient> = Layer.effect(
  ResumeKeyStore,
  SqlClient.SqlClient.useSync((sql) => {
    const keys = SqlSchema.findAll({
      Request: Schema.DateTimeUtcFromDate,
      Result: Key,
      execute: (now) => sql`
        SELECT id, secret, starts_at AS "startsAt", ends_at AS "endsAt"
        FROM tailnet_signing_keys WHERE ends_at > ${now}
        ORDER BY starts_at DESC`
    })
    const date = DateTime.toDateUtc

    return ResumeKeyStore.of({
      keys: (now) => keys(now).pipe(storeOperation(sql, "calls", "read the keys of resume tokens")),
      add: ({ endsAt, id, secret, startsAt }, since) =>
        Effect.gen(function* () {
          yield* sql`LOCK TABLE tailnet_signing_keys IN SHARE ROW EXCLUSIVE MODE`
          yield* sql`DELETE FROM tailnet_signing_keys WHERE ends_at <= ${date(startsAt)}`
          yield* sql`
            INSERT INTO tailnet_signing_keys (id, secret, starts_at, ends_at)
            SELECT ${id}, ${secret}, ${date(startsAt)}, ${date(endsAt)}
            WHERE NOT EXISTS (SELECT FROM tailnet_signing_keys WHERE starts_at > ${date(since)})`
        }).pipe(sql.withTransaction, storeOperation(sql, "calls", "add a key of resume tokens"))
    })
  })
)
