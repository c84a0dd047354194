/** The database is stopped while agents report. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Token from "../../src/access/Token.ts"
import { adminToken } from "./Replica.ts"
import { and, expect, lasting, scenario, seconds } from "./scenario.ts"
import * as World from "./World.ts"

const stopped = Effect.fnUntraced(function* (mode: "immediate" | "fast", duration: number) {
  const world = yield* World.make()
  const { database, fleet, replica } = world
  const ready = Effect.map(replica.get("/readyz"), ({ status }) => status)
  // one agent has yet to report: what it declares has to be there all the same
  const silent = fleet.members.length - 1
  const declared = Effect.promise(async (signal) => {
    const address = `${replica.url}/api/v2/workspaceagents/${fleet.ids[silent]}/metadata`
    const response = await fetch(address, { headers: { [Token.header]: adminToken }, signal })
    return ((await response.json()) as ReadonlyArray<unknown>).length
  })
  const load = { to: () => replica.url, every: 250, only: silent }
  const during = yield* fleet.whileReporting(
    load,
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      yield* database.stop(mode)
      yield* lasting(seconds(duration))
      const status = yield* ready
      yield* database.start
      yield* lasting("2 seconds")
      return status
    })
  )
  const outcome = World.lossless(yield* World.look(world))
  const after = yield* World.settle(ready, (status) => status === 200)
  const keys = yield* declared
  return and(
    outcome,
    expect(keys === fleet.keys.length, `${keys} of ${fleet.keys.length} declared keys are there`),
    expect(during === 503, `/readyz answered ${during} while the database was away`),
    expect(after === 200, `/readyz answered ${after} when it was back`)
  )
})

describe("a database that stops", () => {
  scenario("1 · Postgres crashes (stop -m immediate) and is back after 30 s", stopped("immediate", 30))
  scenario("2 · Postgres is stopped (stop -m fast) for 60 s", stopped("fast", 60))
})
