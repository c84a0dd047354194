/** The service can do its work while the database answers within a second. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Readiness } from "../operations/Readiness.ts"

export const layer: Layer.Layer<Readiness, never, SqlClient.SqlClient> = Layer.effect(
  Readiness,
  SqlClient.SqlClient.useSync((sql) =>
    Readiness.of({
      problem: sql`SELECT 1`.pipe(
        Effect.timeout("1 second"),
        Effect.as(undefined),
        Effect.orElseSucceed(() => "the database does not answer")
      )
    })
  )
)
