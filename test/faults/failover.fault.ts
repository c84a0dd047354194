/** A failover to a standby that leaves the connections to the old primary open. */
import { describe } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as Database from "./Database.ts"
import * as Proxy from "./Proxy.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const switched = Effect.gen(function* () {
  const primary = yield* Database.make({ settings: Database.replicated })
  const standby = yield* Database.standbyOf(primary)
  const relay = yield* Proxy.make(primary.url)
  const world = yield* World.make({ database: primary, databaseUrl: relay.url, agents: 20 })
  const { fleet, ledger, replica } = world
  const readiness: Array<number> = []
  const elapsed = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.gen(function* () {
      yield* lasting("4 seconds")
      // the standby has what the primary had
      yield* World.settle(standby.using(lag), ([row]) => row!.bytes === 0)
      yield* primary.using((sql) => sql.unsafe("ALTER SYSTEM SET default_transaction_read_only = on"))
      yield* primary.using((sql) => sql`SELECT pg_reload_conf()`)
      yield* standby.using((sql) => sql`SELECT pg_promote()`)
      yield* relay.leadTo(standby.port)
      const start = yield* Clock.currentTimeMillis
      yield* lasting("4 seconds")
      readiness.push((yield* replica.get("/readyz")).status)
      // right again: what was accepted three seconds ago is in the new primary, and watchers have seen it
      yield* World.settle(
        Effect.gen(function* () {
          const until = (yield* Clock.currentTimeMillis) - 3_000
          return ledger.compare(yield* standby.rows, until).missing.length + World.stale(world, until)
        }),
        (behind) => behind === 0,
        200
      )
      const elapsed = (yield* Clock.currentTimeMillis) - start
      yield* lasting("3 seconds")
      readiness.push((yield* replica.get("/readyz")).status)
      return elapsed
    })
  )
  const outcome = World.lossless(yield* World.look({ ...world, database: standby }))
  const left = yield* primary.using(
    (sql) => sql<{ count: number }>`
      SELECT count(*)::integer AS count FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND application_name LIKE 'metadata-batcher%'`
  )
  return and(
    outcome,
    expect(elapsed < 20_000, `values went on only after ${elapsed} ms`),
    expect(left[0]!.count === 0, `${left[0]!.count} connections stayed with the server that is read-only`),
    expect(readiness[1] === 200, `/readyz returned ${readiness.join(" and then ")}`)
  )
})

/** How far the standby is behind, in bytes of its log. */
const lag = (sql: Parameters<Parameters<Database.Database["using"]>[0]>[0]) => sql<{ bytes: number }>`
  SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS bytes`

describe("a failover", () => {
  scenario("20 · The primary becomes read-only and a standby is promoted behind a relay", switched)
})
