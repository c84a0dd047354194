/**
 * Reports the service as ready while the database responds within a second and accepts writes.
 *
 * Anyone may ask, any number of times: concurrent requests are one statement, in the share of the heartbeats, so that
 * people's reads do not make the service unready.
 */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import { Readiness } from "../../operations/Readiness.ts"
import { storeOperation } from "../internal/storeOperation.ts"

export const layer: Layer.Layer<Readiness, never, SqlClient.SqlClient> = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const statement = sql<{
      isReadOnly: boolean
    }>`SELECT current_setting('transaction_read_only') = 'on' AS "isReadOnly"`
    const { request } = yield* RequestCoalescer.make({
      name: "Readiness.problem",
      window: 0,
      maxSize: 1,
      concurrency: 1,
      keyOf: () => "problem",
      call: () =>
        statement.pipe(
          storeOperation(sql, "heartbeats", "ask whether the database accepts writes", "1 second"),
          Effect.map(([row]) => (row!.isReadOnly ? "the database does not accept writes" : undefined)),
          Effect.orElseSucceed(() => "the database does not answer"),
          Effect.map((problem) => () => problem)
        )
    })
    return Readiness.of({ problem: request(undefined) })
  })
)
