/** Agents in the original's protocol, over two replicas on one database. */
import { describe } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Proxy from "./Proxy.ts"
import { and, expect, lasting, scenario, seconds } from "./scenario.ts"
import * as World from "./World.ts"

const cutting = Effect.gen(function* () {
  const world = yield* World.make({ agents: 40, keys: 8, replicas: [{}, {}] })
  const proxies = yield* Effect.forEach(world.replicas, ({ url }) => Proxy.make(url))
  const urls = proxies.map(({ url }) => new URL(url).origin)
  let cuts = 0
  const cut = Effect.forEach(proxies, ({ cut }) => Effect.map(cut, (count) => void (cuts += count)))
  yield* world.fleet.whileReporting(
    { to: (agent) => urls[(agent + cuts) % urls.length]!, every: 100, protocol: "original" },
    Effect.andThen(Effect.schedule(cut, Schedule.upTo(Schedule.spaced(seconds(2)), { times: 10 })), lasting(seconds(5)))
  )
  const outcome = World.lossless(yield* World.look(world))
  return and(outcome, expect(cuts >= 200, `only ${cuts} connections were cut`))
})

describe("agents in the original's protocol", () => {
  scenario("34 · A proxy cuts the connections of agents in the original's protocol to two replicas", cutting)
})
