import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import { TestDatabase } from "./Postgres.ts"

/** Runs an effect while somebody else holds a table of the suite's database: who wants it waits. */
export const whileLocked = (table: string) =>
  Effect.fnUntraced(
    function* <A, E, R>(self: Effect.Effect<A, E, R>) {
      const { url } = yield* TestDatabase
      const sql = yield* PgClient.make({ url, maxConnections: 1 })
      const hold = sql`LOCK TABLE ${sql(table)} IN ACCESS EXCLUSIVE MODE`
      return yield* sql.withTransaction(Effect.andThen(hold, self))
    },
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )
