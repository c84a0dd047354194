/** Keeps the points of the longer plots in Postgres. */
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { HistoryStore } from "../../operations/HistoryStore.ts"
import type { Point } from "../../operations/Overview.ts"
import { storeOperation } from "../internal/storeOperation.ts"

export const layer: Layer.Layer<HistoryStore, never, SqlClient.SqlClient> = Layer.effect(
  HistoryStore,
  SqlClient.SqlClient.useSync((sql) =>
    HistoryStore.of({
      add: (replica, { at, watchDelay, writtenAge, ...figures }) =>
        sql`
          INSERT INTO replica_points ${sql.insert({
            replica,
            at: new Date(at),
            ...figures,
            written_age: writtenAge,
            watch_delay: watchDelay
          })}
          ON CONFLICT DO NOTHING`.pipe(storeOperation(sql, "background", "keep a point of the plots"), Effect.asVoid),

      read: (since) =>
        sql<Point>`
          SELECT extract(epoch FROM at)::float8 * 1000 AS at, sum(agents) AS agents, sum(updates) AS updates,
            sum(rows) AS rows, sum(statements) AS statements, sum(notifies) AS notifies, sum(pending) AS pending,
            sum(queued) AS queued, max(written_age) AS "writtenAge", max(watch_delay) AS "watchDelay"
          FROM replica_points
          WHERE at >= ${DateTime.toDateUtc(since)}
          GROUP BY replica_points.at
          ORDER BY replica_points.at`.pipe(storeOperation(sql, "readers", "read the points of the plots"))
    })
  )
)
