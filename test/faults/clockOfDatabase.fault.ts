/** The wall clock of the database is stepped. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { underSteps } from "./clockSteps.ts"
import * as Database from "./Database.ts"
import * as FakeClock from "./FakeClock.ts"
import { scenario } from "./scenario.ts"
import * as World from "./World.ts"

const stepped = Effect.gen(function* () {
  const clock = yield* FakeClock.make
  const world = yield* World.make({ agents: 12, database: yield* Database.make({ clock }), replicas: [{}, {}] })
  return yield* underSteps(world, clock)
})

describe("the clock of the database", () => {
  scenario("15b · The clock of the database steps by ±1 h and by 30 days", stepped)
})
