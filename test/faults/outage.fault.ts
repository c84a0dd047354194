/** The database is away for so long, or for so short a time, that what watches over the service has to take part. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as ValueStore from "./ValueStore.ts"
import * as World from "./World.ts"

/** The watchdog of the pubsub, 15 times as fast as by default: 24 s stand for six minutes. */
const fastWatchdog = { PUBSUB_WATCHDOG_INTERVAL: "1 second", PUBSUB_WATCHDOG_TIMEOUT: "20 seconds" }

const long = Effect.gen(function* () {
  const world = yield* World.make({
    agents: 100,
    keys: 500,
    replicas: [{ ...fastWatchdog, METADATA_MAX_PENDING: "100000", NODE_OPTIONS: "--max-old-space-size=512" }]
  })
  const { database, fleet, replica } = world
  const pending = yield* fleet.whileReporting(
    { to: () => replica.url, every: 6_000 },
    Effect.gen(function* () {
      yield* lasting("14 seconds")
      yield* database.stop("fast")
      yield* lasting("24 seconds")
      const pending = yield* replica.pending
      yield* database.start
      yield* lasting("7 seconds")
      return pending
    })
  )
  const outcome = World.lossless(yield* World.look(world))
  yield* lasting("20 seconds")
  return and(
    outcome,
    // values that are elsewhere are written meanwhile
    expect(ValueStore.isShared || pending >= 50_000, `only ${pending} keys were pending`),
    expect(yield* replica.isAlive, "the process ended after the outage")
  )
})

const short = Effect.gen(function* () {
  const world = yield* World.make({ replicas: [fastWatchdog] })
  const { database, fleet, replica } = world
  const alive = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.gen(function* () {
      yield* lasting("2 seconds")
      yield* database.stop("fast")
      // longer than the interval of the heartbeats, so that one of them fails
      yield* lasting("1300 millis")
      yield* database.start
      yield* lasting("25 seconds")
      return yield* replica.isAlive
    })
  )
  if (!alive) return { accepted: 0, present: 0, lost: 0, counted: 0, problems: ["the process ended after the outage"] }
  return World.lossless(yield* World.look(world))
})

describe("an outage of the database", () => {
  scenario("13a · Postgres is away for six minutes (15 times as fast) with 50 000 keys pending", long)
  scenario("13b · Postgres is away for as long as one heartbeat, and the watchdog's timeout passes", short)
})
