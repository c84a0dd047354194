/** The network between the service and the database fails, while both are well. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import type { Reactivity } from "effect/reactivity"
import * as Database from "./Database.ts"
import * as Proxy from "./Proxy.ts"
import { and, expect, lasting, scenario, scenarioOfDatabase, seconds } from "./scenario.ts"
import * as World from "./World.ts"

/** A world whose service reaches the database through a proxy. */
const proxied = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const database = yield* Database.make()
  const proxy = yield* Proxy.make(database.url)
  const world = yield* World.make({ database, databaseUrl: proxy.url, replicas: [env] })
  const load = { to: () => world.replica.url, every: 250 }
  const underLoad = <A, E, R>(fault: Effect.Effect<A, E, R>) =>
    world.fleet.whileReporting(load, Effect.andThen(lasting("3 seconds"), fault))
  return { proxy, world, underLoad }
})

const stall = Effect.gen(function* () {
  const { proxy, underLoad, world } = yield* proxied()
  yield* underLoad(Effect.andThen(proxy.stalled(lasting(seconds(20))), lasting("2 seconds")))
  return World.lossless(yield* World.look(world))
})

const cut = Effect.gen(function* () {
  const { proxy, underLoad, world } = yield* proxied()
  const ended = yield* underLoad(
    Effect.gen(function* () {
      let ended = 0
      yield* Effect.repeat(
        Effect.map(proxy.cut, (count) => (ended += count)),
        { times: 9, schedule: Schedule.spaced(seconds(1)) }
      )
      return ended
    })
  )
  return and(World.lossless(yield* World.look(world)), expect(ended > 10, `only ${ended} connections were cut`))
})

/** The service is right again within one write timeout and 5 s, whatever the size of its pool. */
const swallow = Effect.fnUntraced(function* (maxConnections: number) {
  const { proxy, underLoad, world } = yield* proxied({
    DATABASE_MAX_CONNECTIONS: String(maxConnections),
    METADATA_WRITE_TIMEOUT: "10 seconds"
  })
  const found = yield* underLoad(
    Effect.gen(function* () {
      const swallowed = yield* proxy.swallow
      const at = yield* Clock.currentTimeMillis
      const before = proxy.opened()
      yield* lasting("15 seconds")
      // all that was accepted while connections were dead, except what the flush that is due next will write
      const { missing } = world.ledger.compare(yield* world.database.rows, at + 13_500)
      const stale = World.stale(world, at + 10_000)
      return { swallowed, opened: proxy.opened() - before, missing: missing.length, stale }
    })
  )
  return and(
    World.lossless(yield* World.look(world)),
    expect(found.swallowed >= 2, `only ${found.swallowed} connections were swallowed`),
    expect(found.opened >= 2, `only ${found.opened} connections were opened anew`),
    expect(found.missing === 0, `${found.missing} keys were still behind after 15 s`),
    expect(found.stale === 0, `watchers were still behind in ${found.stale} keys after 15 s`)
  )
})

const lock = Effect.gen(function* () {
  const world = yield* World.make({ replicas: [{ METADATA_WRITE_TIMEOUT: "2 seconds" }] })
  const { database, fleet, replica } = world
  // of the statement that waits, in seconds
  const waiting = Effect.map(
    database.using(
      (sql) => sql<{ count: number; oldest: number }>`
        SELECT count(*)::integer AS count, coalesce(max(extract(epoch FROM now() - query_start)), 0)::float8 AS oldest
        FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE '%update_workspace_agent_metadata%' AND application_name <> 'oracle'`
    ),
    ([row]) => row!
  )
  const context = yield* Effect.context<Reactivity.Reactivity>()
  const seen = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.andThen(
      lasting("2 seconds"),
      database.using((sql) =>
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`LOCK TABLE workspace_agent_metadata IN ROW EXCLUSIVE MODE`
            yield* sql`SELECT FROM workspace_agent_metadata FOR UPDATE`
            return yield* Effect.forEach(Array.from({ length: 40 }), () =>
              Effect.delay(Effect.provideContext(waiting, context), "300 millis")
            )
          })
        )
      )
    )
  )
  const most = Math.max(...seen.map(({ count }) => count))
  const oldest = Math.max(...seen.map(({ oldest }) => oldest))
  return and(
    World.lossless(yield* World.look(world)),
    expect(most === 1, `${most} writes waited for the lock at once`),
    expect(oldest < 3.5, `a write waited for the lock for ${oldest} s`)
  )
})

describe("a network that fails", () => {
  scenario("3a · The network stalls for 20 s", stall)
  scenario("3b · Every connection is cut, ten times", cut)
  scenario("3c · A failover swallows every connection for good", swallow(10))
  scenario("3e · A failover swallows every connection of a pool of two", swallow(2))
  scenario("3f · A failover swallows every connection of a pool of forty", swallow(40))
  scenarioOfDatabase(
    "3d · A write is stuck behind a lock for longer than its timeout",
    "Redis has no locks; in 35b its writes are stuck",
    lock
  )
})
