/** Two replicas on one database. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Path from "node:path"
import { lasting, scenario, seconds } from "./scenario.ts"
import * as World from "./World.ts"

const offBy = (millis: number) => ({
  NODE_OPTIONS: `--import=${Path.resolve("test/faults/laterClock.ts")}`,
  CLOCK_OFFSET: String(millis)
})

const hopping = Effect.gen(function* () {
  const world = yield* World.make({ agents: 40, keys: 8, replicas: [offBy(5_000), offBy(0)] })
  const { fleet, replicas } = world
  const hops = new Map<number, number>()
  yield* fleet.whileReporting(
    {
      to: (agent) => {
        const hop = (hops.get(agent) ?? agent) + 1
        hops.set(agent, hop)
        return replicas[hop % replicas.length]!.url
      },
      every: 100,
      hopAfter: 7
    },
    lasting(seconds(30))
  )
  return World.lossless(yield* World.look(world))
})

describe("two replicas", () => {
  scenario("7 · Agents hop between two replicas whose clocks are 5 s apart", hopping)
})
