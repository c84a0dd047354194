/**
 * The time of the database, so that replicas tell the same time although their own clocks differ. Which of two samples
 * is newer is told by when they came in, whichever replica took them.
 *
 * - The database is asked when the clock is made, and every `interval`. While it does not answer, the last comparison
 *   stands; before the first answer the clock is the process's own.
 * - An answer is of some moment between question and answer. What this process took for the time is corrected only when
 *   it cannot have been the time of any such moment, so that slow answers change nothing that is right.
 * - Time never goes back: a clock that was ahead stands still until the others have caught up.
 * - Only the time of day is shifted; sleeping and measuring are those of the process.
 */
import { Clock, type Duration, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"

export interface Options {
  /** The time between two comparisons, and how long one may take. Default: 15 seconds. */
  readonly interval?: Duration.Input | undefined
}

/** What a clock has to be shifted by, in milliseconds, given what it was by now and how late it may or must be. */
export const corrected = (offset: number, least: number, most: number): number =>
  offset >= least && offset <= most ? offset : (least + most) / 2

/** A clock that goes with the database until the scope closes. */
export const make = Effect.fnUntraced(function* ({ interval = "15 seconds" }: Options = {}) {
  const sql = yield* SqlClient.SqlClient
  const own = yield* Clock.Clock
  let offset = 0
  let latest = 0

  const compare = Effect.gen(function* () {
    const asked = own.currentTimeMillisUnsafe()
    const [row] = yield* sql<{ now: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`
    offset = corrected(offset, row!.now - own.currentTimeMillisUnsafe(), row!.now - asked)
  }).pipe(
    Effect.timeout(interval),
    Effect.ignore({ log: "Debug", message: "the time of the database cannot be asked for" })
  )

  yield* compare
  yield* Effect.forkScoped(Effect.schedule(compare, Schedule.spaced(interval)))

  const millis = () => (latest = Math.max(latest, Math.round(own.currentTimeMillisUnsafe() + offset)))
  const nanos = () => own.currentTimeNanosUnsafe() + BigInt(Math.round(offset)) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => own.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: own.monotonicTimeNanos,
    sleep: (duration) => own.sleep(duration)
  }
  return clock
})

/** Lets everything above tell the time of the database. */
export const layer = (options?: Options): Layer.Layer<never, never, SqlClient.SqlClient> =>
  Layer.effect(Clock.Clock, make(options))
