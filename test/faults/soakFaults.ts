/** The faults of the soak, drawn from a seed: the same seed gives the same faults in the same order. */
import { Effect, type FileSystem } from "effect"
import type { Reactivity } from "effect/reactivity"
import type * as Database from "./Database.ts"
import type { FakeClock } from "./FakeClock.ts"
import type * as Proxy from "./Proxy.ts"
import type * as Replica from "./Replica.ts"
import { lasting } from "./scenario.ts"

/** The parts of the soak that a fault can hit. */
export interface Target {
  readonly database: Database.Database
  readonly proxy: Effect.Success<ReturnType<typeof Proxy.make>>
  readonly replicas: ReadonlyArray<Replica.Replica>
  /** The clocks of the replicas. */
  readonly clocks: ReadonlyArray<FakeClock>
  /** Ends a replica by a signal and starts it again on its port. */
  readonly restart: (index: number, signal: NodeJS.Signals) => Effect.Effect<void>
}

export interface Fault {
  readonly name: string
  readonly run: (target: Target) => Effect.Effect<unknown, never, Reactivity.Reactivity | FileSystem.FileSystem>
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export const generator = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The replica whose memory is measured: it is never started again. */
export const measured = 0

/** Draws the next fault. It is over within ten seconds. */
export const draw = (random: () => number): Fault => {
  const kind = kinds[Math.floor(random() * kinds.length)]!
  // every kind draws as often, so that one fault more or less does not change all that follow
  return kind({
    seconds: 1 + Math.round(random() * 60) / 10,
    replica: random() < 0.5 ? 0 : 1,
    sign: random() < 0.5 ? -1 : 1
  })
}

interface Drawn {
  readonly seconds: number
  readonly replica: number
  readonly sign: number
}

const kinds: ReadonlyArray<(drawn: Drawn) => Fault> = [
  ({ seconds }) => ({
    name: `the database crashes and is back after ${seconds} s`,
    run: ({ database }) => outage(database, "immediate", seconds)
  }),
  ({ seconds }) => ({
    name: `the database is stopped for ${seconds} s`,
    run: ({ database }) => outage(database, "fast", seconds)
  }),
  ({ seconds }) => ({
    name: `the network to the database stalls for ${seconds} s`,
    run: ({ proxy }) => proxy.stalled(lasting(seconds * 1_000))
  }),
  () => ({ name: "every connection to the database is cut", run: ({ proxy }) => proxy.cut }),
  () => ({ name: "every connection to the database is swallowed", run: ({ proxy }) => proxy.swallow }),
  () => ({ name: "every backend is terminated", run: ({ database }) => database.terminateAll }),
  ({ replica, seconds }) => ({
    name: `replica ${replica + 1} is stopped by SIGSTOP for ${seconds} s`,
    run: ({ replicas }) =>
      Effect.andThen(
        replicas[replica]!.kill("SIGSTOP"),
        Effect.delay(replicas[replica]!.kill("SIGCONT"), seconds * 1_000)
      )
  }),
  () => ({ name: "replica 2 is killed and started again", run: ({ restart }) => restart(1, "SIGKILL") }),
  () => ({ name: "replica 2 is ended in order and started again", run: ({ restart }) => restart(1, "SIGTERM") }),
  ({ replica, seconds, sign }) => ({
    name: `the clock of replica ${replica + 1} is an hour ${sign < 0 ? "back" : "ahead"} for ${seconds} s`,
    run: ({ clocks }) =>
      Effect.andThen(clocks[replica]!.step(sign * 3_600), Effect.delay(clocks[replica]!.step(0), seconds * 1_000))
  }),
  ({ seconds }) => ({
    name: `half of the writes fail for ${seconds} s`,
    run: ({ database }) => Effect.andThen(database.failHalf, Effect.delay(database.failNone, seconds * 1_000))
  })
]

const outage = (database: Database.Database, mode: "fast" | "immediate", seconds: number) =>
  database.stop(mode).pipe(Effect.andThen(lasting(seconds * 1_000)), Effect.andThen(database.start), Effect.orDie)
