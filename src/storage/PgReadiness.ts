/** Reports the service as ready while the database responds within a second and accepts writes. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Readiness } from "../operations/Readiness.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export const layer: Layer.Layer<Readiness, never, SqlClient.SqlClient> = Layer.effect(
  Readiness,
  SqlClient.SqlClient.useSync((sql) =>
    Readiness.of({
      problem: sql<{
        isReadOnly: boolean
      }>`SELECT current_setting('transaction_read_only') = 'on' AS "isReadOnly"`.pipe(
        storeOperation(sql, "ask whether the database accepts writes", "1 second"),
        Effect.map(([row]) => (row!.isReadOnly ? "the database does not accept writes" : undefined)),
        Effect.orElseSucceed(() => "the database does not answer")
      )
    })
  )
)
