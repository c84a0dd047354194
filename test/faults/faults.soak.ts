/**
 * The soak: thousands of agents report for half an hour while something breaks every 20 s.
 *
 * `SOAK_MINUTES`, `SOAK_AGENTS` and `SOAK_SEED` set its length, its agents and its faults. The seed is printed. At the
 * end no value is wrong, none is lost without being counted, and the memory of a replica has not grown since the second
 * quarter.
 */
import { describe } from "@effect/vitest"
import { Clock, Console, Duration, Effect, Fiber, Scope } from "effect"
import * as Database from "./Database.ts"
import * as FakeClock from "./FakeClock.ts"
import * as Proxy from "./Proxy.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as Soak from "./soakFaults.ts"
import * as World from "./World.ts"

const number = (name: string, fallback: number) => Number(process.env[name] ?? fallback)

const minutes = number("SOAK_MINUTES", 30)
const agents = number("SOAK_AGENTS", 5_000)
const seed = number("SOAK_SEED", Math.floor(Math.random() * 2 ** 32))

const soak = Effect.gen(function* () {
  const database = yield* Database.make()
  const proxy = yield* Proxy.make(database.url)
  const clocks = yield* Effect.all([FakeClock.make, FakeClock.make])
  const settings = clocks.map(({ env }) => ({
    ...env,
    DATABASE_URL: proxy.url,
    NODE_OPTIONS: "--max-old-space-size=512"
  }))
  const world = yield* World.make({ database, databaseUrl: proxy.url, agents, keys: 3, replicas: settings })
  const { fleet, ledger, watchers } = world
  const replicas = [...world.replicas]
  const urls = replicas.map(({ url }) => url)
  const scope = yield* Effect.scope
  const restart = Effect.fnUntraced(function* (index: number, signal: NodeJS.Signals) {
    yield* replicas[index]!.kill(signal)
    yield* replicas[index]!.exit
    replicas[index] = yield* Replica.start({ ...settings[index], PORT: new URL(urls[index]!).port })
  })
  const target: Soak.Target = {
    database,
    proxy,
    replicas,
    clocks,
    restart: (index, signal) => Effect.provideService(restart(index, signal), Scope.Scope, scope)
  }

  yield* Console.log(`\nsoak: ${agents} agents for ${minutes} minutes; SOAK_SEED=${seed} repeats these faults`)
  const random = Soak.generator(seed)
  const memory: Array<number> = []
  const hops = new Map<number, number>()
  const load = {
    to: (agent: number) => {
      const hop = (hops.get(agent) ?? agent) + 1
      hops.set(agent, hop)
      return urls[hop % urls.length]!
    },
    every: 10_000,
    spread: true
  }
  const start = yield* Clock.currentTimeMillis
  const elapsed = Effect.map(Clock.currentTimeMillis, (now) => now - start)
  const behind = Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) - 5_000
    return ledger.compare(yield* database.rows, until).missing.length
  })
  const isOver = Effect.map(elapsed, (millis) => millis >= minutes * 60_000)

  const silent = yield* fleet.whileReporting(
    load,
    Effect.gen(function* () {
      // all are connected, and what a process allocates once is allocated
      yield* lasting("30 seconds")
      let faults = 0
      while (!(yield* isOver)) {
        const fault = Soak.draw(random)
        faults++
        const next = yield* Effect.forkChild(lasting("20 seconds"))
        yield* fault.run(target)
        yield* Fiber.join(next)
        const rss = yield* replicas[Soak.measured]!.rss
        memory.push(rss)
        const at = Duration.format(Duration.millis(Math.round((yield* elapsed) / 1_000) * 1_000))
        yield* Console.log(
          `${at}: ${faults}. ${fault.name}; ${yield* behind} of ${agents * 3} keys behind, ${Math.round(rss)} MiB`
        )
      }
      // a killed replica has lost what it had accepted, until its agents report again
      const lastFault = yield* Clock.currentTimeMillis
      return yield* World.settle(
        Effect.sync(() => ledger.silentSince(lastFault)),
        (keys) => keys === 0,
        1_000
      )
    })
  )
  const outcome = World.lossless(yield* World.look({ ...world, replicas, watchers }))
  // in the first quarter most kinds of faults happen for the first time, and take memory once; V8 gives some back now and
  // then, so that only the highest of a quarter can be compared
  const quarter = Math.max(1, Math.floor(memory.length / 4))
  const [early, late] = [Math.max(...memory.slice(quarter, 2 * quarter)), Math.max(...memory.slice(-quarter))]
  return and(
    outcome,
    expect(silent === 0, `${silent} keys were not reported again`),
    expect(late < early * 1.1, `the memory grew from ${Math.round(early)} to ${Math.round(late)} MiB`)
  )
})

describe("a soak", () => {
  scenario(`Something breaks every 20 s under ${agents} agents, for ${minutes} minutes (seed ${seed})`, soak)
})
