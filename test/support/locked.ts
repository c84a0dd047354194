import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber } from "effect"
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

/**
 * Runs a statement while somebody else holds a row that it wants, and returns those of `ids` whose rows it has locked by
 * the time it waits.
 */
export const lockedBefore = Effect.fnUntraced(
  function* <A, E, R>(table: string, held: string, ids: ReadonlyArray<string>, statement: Effect.Effect<A, E, R>) {
    const { url } = yield* TestDatabase
    const sql = yield* PgClient.make({ url, maxConnections: 2 })
    // a planner that knows of few rows reads them as they are stored, and not by an index that sorts them
    yield* sql`ANALYZE ${sql(table)}`
    const locks = Effect.gen(function* () {
      const [holder] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
      yield* sql`SELECT FROM ${sql(table)} WHERE id = ${held} FOR UPDATE`
      const running = yield* Effect.forkScoped(statement)
      yield* Effect.repeat(
        sql`SELECT FROM pg_locks WHERE NOT granted AND ${holder!.pid} = ANY (pg_blocking_pids(pid))`.pipe(
          Effect.map((waiting) => waiting.length > 0)
        ),
        { until: (isWaiting) => isWaiting }
      )
      const free = yield* sql<{ id: string }>`
        SELECT id FROM ${sql(table)} WHERE ${sql.in("id", ids)} FOR UPDATE SKIP LOCKED`
      const isFree = new Set(free.map(({ id }) => id))
      return { running, locked: ids.filter((id) => id !== held && !isFree.has(id)) }
    })
    const { locked, running } = yield* sql.withTransaction(locks)
    yield* Fiber.join(running)
    return locked
  },
  Effect.scoped,
  Effect.provide(Reactivity.layer)
)
