/** The steps of a wall clock that scenarios try: one hour in both directions and thirty days, each for 20 s. */
import { Clock, Effect } from "effect"
import type { FakeClock } from "./FakeClock.ts"
import { expect, lasting, type Outcome } from "./scenario.ts"
import * as World from "./World.ts"

const hour = 3_600
const steps = [
  { name: "an hour ahead", seconds: hour },
  { name: "an hour back", seconds: -hour },
  { name: "thirty days ahead", seconds: 720 * hour }
]

/** Steps the clock there and back while agents hop between the replicas; every value has to go on all the time. */
export const underSteps = Effect.fnUntraced(function* (world: World.World, clock: FakeClock) {
  const { database, fleet, ledger, replicas } = world
  const hops = new Map<number, number>()
  const to = (agent: number) => {
    const hop = (hops.get(agent) ?? agent) + 1
    hops.set(agent, hop)
    return replicas[hop % replicas.length]!.url
  }
  const behind = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    return ledger.compare(yield* database.rows, now - 4_000).missing.length + World.stale(world, now - 6_000)
  })
  /** The most keys that are seconds behind at one moment, once the replicas have asked for the time again. */
  const frozen = Effect.gen(function* () {
    yield* lasting("14 seconds")
    const first = yield* World.settle(behind, (keys) => keys === 0, 25)
    const later = yield* Effect.forEach(Array.from({ length: 12 }), () => Effect.delay(behind, "500 millis"))
    return Math.max(first, ...later)
  })
  const found = yield* fleet.whileReporting(
    { to, every: 250, hopAfter: 40 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const problems: Array<string> = []
      const check = Effect.fnUntraced(function* (when: string) {
        yield* lasting("3 seconds")
        const keys = yield* frozen
        problems.push(...expect(keys === 0, `${keys} keys stand still ${when}`))
      })
      for (const { name, seconds } of steps) {
        yield* clock.step(seconds)
        yield* check(`while the clock is ${name}`)
        yield* clock.step(0)
        yield* check(`after the clock was ${name}`)
      }
      return problems
    })
  )
  const outcome = World.lossless(yield* World.look(world))
  return { ...outcome, problems: [...found, ...outcome.problems] } satisfies Outcome
})
