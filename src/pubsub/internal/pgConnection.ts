/**
 * Listens with a connection to Postgres.
 *
 * The connection is also lost when its server accepted writes at the first heartbeat and no longer does.
 */
import { PgConnection } from "@effect/sql-pg"
import { Effect } from "effect"
import { broken, ListenerError } from "./listenerError.ts"
import type { Connection, Driver } from "./listenerSession.ts"

export const driver = (config: PgConnection.Config): Driver<Connection, ListenerError> => ({
  connect: PgConnection.make(config).pipe(
    Effect.flatMap((connection) => connection.pin),
    Effect.map(listening),
    Effect.mapError(broken)
  ),
  broken,
  silent: () => new ListenerError({ reason: "silence" })
})

const listening = (connection: PgConnection.PgConnection): Connection => {
  let wasWritable = false
  return {
    listen: connection.listen,
    beat: Effect.fnUntraced(function* (channel, payload) {
      const { rows } = yield* connection.query(
        "select pg_notify($1, $2), current_setting('transaction_read_only') = 'off' as writable",
        [channel, payload]
      )
      const isWritable = rows[0]?.writable === true
      if (wasWritable && !isWritable) return yield* new ListenerError({ reason: "read only" })
      wasWritable = isWritable
    }),
    check: Effect.asVoid(connection.query("select 1"))
  }
}
