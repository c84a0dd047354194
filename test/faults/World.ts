/**
 * The world of most scenarios: a database, replicas of the service on it, a fleet, watchers, and the oracle.
 */
import { Effect } from "effect"
import * as Database from "./Database.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { expect, type Outcome } from "./scenario.ts"
import * as Watcher from "./Watcher.ts"

export interface Options {
  readonly agents?: number | undefined
  readonly keys?: number | undefined
  readonly replicas?: ReadonlyArray<Readonly<Record<string, string>>> | undefined
  /** Where the service finds the database; by default there where it is. */
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

/** How many keys watchers have not seen the newest values of that were accepted until then, by default until now. */
export const stale = ({ ledger, watchers }: Pick<World, "ledger" | "watchers">, until?: number) =>
  watchers.reduce((sum, watcher) => sum + Watcher.behind(watcher, ledger.compare(watcher.rows(), until).missing), 0)

/** What the oracle finds, when everything had the time to arrive. */
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
  const { accepted, invented, missing, present } = inTable
  const outcome: Outcome = {
    accepted,
    present,
    lost: missing.length,
    counted: yield* counted,
    problems: [
      ...expect(accepted > 0, "nothing was accepted"),
      ...expect(invented === 0, `${invented} rows hold what nobody sent`),
      ...expect(regressions === 0, `${regressions} updates put an older value over a newer one`),
      ...expect(behind === 0, `watchers are behind in ${behind} keys`),
      ...expect(seenRegressions === 0, `watchers saw ${seenRegressions} values go back`)
    ]
  }
  return outcome
})

/** Nothing may be lost. */
export const lossless = (outcome: Outcome): Outcome => ({
  ...outcome,
  problems: [
    ...outcome.problems,
    ...expect(outcome.lost === 0, `${outcome.lost} lost`),
    ...expect(outcome.counted === 0, `${outcome.counted} counted as lost or dropped`)
  ]
})

/** Looks every 200 ms, for at most 20 s, until it is as it should be; answers what it saw last. */
export const settle = <A, E, R>(self: Effect.Effect<A, E, R>, isSo: (a: A) => boolean, attempts = 100) =>
  Effect.gen(function* () {
    let last = yield* self
    for (let attempt = 0; attempt < attempts && !isSo(last); attempt++) {
      yield* Effect.sleep("200 millis")
      last = yield* self
    }
    return last
  })
