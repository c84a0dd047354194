/**
 * The world of most scenarios: a database, replicas of the service on it, agents, watchers, and an oracle that compares.
 */
import { Effect, Schedule } from "effect"
import * as Database from "./Database.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { and, expect, type Outcome } from "./scenario.ts"
import * as Watcher from "./Watcher.ts"

export interface Options {
  readonly agents?: number | undefined
  readonly keys?: number | undefined
  readonly replicas?: ReadonlyArray<Readonly<Record<string, string>>> | undefined
  /** The address of the database for the service; by default the real one. */
  readonly databaseUrl?: string | undefined
  readonly database?: Database.Database | undefined
}

export type World = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const database = options.database ?? (yield* Database.make())
  const url = options.databaseUrl ?? database.url
  const ledger = Ledger.make()
  const replicas = yield* Effect.forEach(options.replicas ?? [{}], (env) =>
    Replica.start({ DATABASE_URL: url, ...env })
  )
  const fleet = yield* Fleet.make({
    ledger,
    url: replicas[0]!.url,
    agents: options.agents ?? 20,
    keys: options.keys ?? 5
  })
  yield* database.witness
  const watchers = yield* Effect.forEach(replicas, ({ url }) =>
    Effect.forEach(fleet.ids.slice(0, 3), (id) => Watcher.watch(url, id))
  )
  const counted = Effect.map(
    Effect.forEach(replicas, (replica) => replica.counted),
    (counts) => counts.reduce((sum, count) => sum + count, 0)
  )
  return { database, ledger, fleet, replicas, replica: replicas[0]!, watchers: watchers.flat(), counted }
})

/** The number of keys in which watchers lack the newest value that was accepted until `until`, by default until now. */
export const stale = ({ ledger, watchers }: Pick<World, "ledger" | "watchers">, until?: number) =>
  watchers.reduce((sum, watcher) => sum + Watcher.behind(watcher, ledger.compare(watcher.rows(), until).missing), 0)

/** Compares table and watchers with the ledger once everything has had the time to arrive. */
export const look = Effect.fnUntraced(function* (world: World) {
  const { counted, database, ledger, watchers } = world
  const inTable = yield* settle(
    Effect.map(database.rows, (rows) => ledger.compare(rows)),
    ({ missing }) => missing.length === 0
  )
  const behind = yield* settle(
    Effect.sync(() => stale(world)),
    (keys) => keys === 0
  )
  const regressions = yield* database.regressions
  const seenRegressions = watchers.reduce((sum, { tally }) => sum + tally.regressions, 0)
  return and(
    Ledger.outcome(inTable, yield* counted),
    expect(inTable.invented === 0, `${inTable.invented} rows hold values that nobody sent`),
    expect(regressions === 0, `${regressions} updates put an older value over a newer one`),
    expect(behind === 0, `watchers are behind in ${behind} keys`),
    expect(seenRegressions === 0, `watchers saw ${seenRegressions} values go back`)
  )
})

/** Adds the guarantee that nothing is lost or dropped. */
export const lossless = (outcome: Outcome): Outcome =>
  and(
    outcome,
    expect(outcome.lost === 0, `${outcome.lost} lost`),
    expect(outcome.counted === 0, `${outcome.counted} counted as lost or dropped`)
  )

/** Repeats `self` every 200 ms, for at most 20 s, until `isSo` holds; returns the last result. */
export const settle = <A, E, R>(self: Effect.Effect<A, E, R>, isSo: (a: A) => boolean, attempts = 100) =>
  Effect.repeat(self, {
    until: isSo,
    schedule: Schedule.upTo(Schedule.spaced("200 millis"), { times: attempts })
  })
