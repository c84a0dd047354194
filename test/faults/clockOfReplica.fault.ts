/** The wall clock of one replica is stepped. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { underSteps } from "./clockSteps.ts"
import * as FakeClock from "./FakeClock.ts"
import { scenario } from "./scenario.ts"
import * as World from "./World.ts"

const stepped = Effect.gen(function* () {
  const clock = yield* FakeClock.make
  const world = yield* World.make({ agents: 12, replicas: [clock.env, {}] })
  return yield* underSteps(world, clock)
})

describe("the clock of a replica", () => {
  scenario("15a · The clock of one of two replicas steps by ±1 h and by 30 days", stepped)
})
