/**
 * Provides the time of the database, so that replicas with different clocks agree: of two samples, the newer one is the
 * one that arrived later, on any replica.
 *
 * - The clock compares itself with the database at the start and once per `interval`. In between it advances with the
 *   process's monotonic clock, so that a step of the machine's clock changes nothing.
 * - A response of the database is its time at some moment between request and response. The clock is corrected only
 *   when it was outside of that range, so that a slow response never changes a correct clock.
 * - A clock that is ahead by up to `maxWait` stands still until the database has caught up. A clock that is further
 *   ahead goes back, because the database's clock was set back: times in the future would hide all later reports.
 * - The age of a sample is right across such a step: {@link PresentFor} continues the clock as it was before.
 * - Before the first response the clock is the process's own. Sleeps and measured durations always use the process's
 *   own.
 */
import { Clock, Context, Duration, Effect, Layer, Metric, Schedule } from "effect"
import { counter, fromZero } from "../domain/Counters.ts"
import { SqlClient } from "effect/sql"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export interface Options {
  /** The time between two comparisons, and the longest time of one. Default: 15 seconds. */
  readonly interval?: Duration.Input | undefined
  /** The longest time that the clock stands still rather than go back. Default: 5 seconds. */
  readonly maxWait?: Duration.Input | undefined
}

/** Counts steps of the database's clock, so that an alert on any increase detects them. */
export const steps = counter(
  "metadata_batcher_clock_steps_total",
  "Corrections of the clock of the service by more than 5 s, forwards or back"
)

/** Returns the new offset in milliseconds, given the old offset and the range of offsets that a response allows. */
export const corrected = (offset: number, least: number, most: number): number =>
  offset >= least && offset <= most ? offset : (least + most) / 2

/**
 * Returns the present of the clock by which a time was read, both in milliseconds: for a time ahead of the clock that of
 * the clock as it was before it went back. Without {@link layer} the present of the clock.
 */
export const PresentFor = Context.Reference<(time: number) => Effect.Effect<number>>(
  "metadata-batcher/storage/PgClock/PresentFor",
  { defaultValue: () => () => Clock.currentTimeMillis }
)

/** The clock of the database. */
export interface PgClock extends Clock.Clock {
  readonly presentFor: Context.Service.Shape<typeof PresentFor>
}

/** Returns a clock that follows the database until the scope closes. */
export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const interval = Duration.fromInputUnsafe(options.interval ?? "15 seconds")
  const maxWait = Duration.toMillis(Duration.fromInputUnsafe(options.maxWait ?? "5 seconds"))
  const sql = yield* SqlClient.SqlClient
  const own = yield* Clock.Clock
  const monotonic = () => MonotonicClock.millisUnsafe(own)
  // the offset leads from the monotonic time to the time of day
  let offset = own.currentTimeMillisUnsafe() - monotonic()
  let latest = 0
  let offsetBefore = -Infinity

  const compare = Effect.gen(function* () {
    const asked = monotonic()
    const [row] = yield* sql<{ now: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`
    const previous = offset
    offset = corrected(offset, row!.now - monotonic(), row!.now - asked)
    if (latest > monotonic() + offset + maxWait) {
      latest = 0
      offsetBefore = previous
    }
    return offset - previous
  }).pipe(storeOperation(sql, "heartbeats", "ask for the time of the database", interval))

  const follow = compare.pipe(
    Effect.tap((step) =>
      Math.abs(step) > maxWait
        ? Effect.andThen(
            Metric.update(steps, 1),
            Effect.logWarning("the clock of the database was set").pipe(
              Effect.annotateLogs({ stepSeconds: step / 1e3 })
            )
          )
        : Effect.void
    ),
    Effect.ignoreCause({ log: "Debug", message: "cannot ask for the time of the database" })
  )

  yield* fromZero([steps])
  // at the start the two clocks may differ by any amount
  yield* Effect.ignoreCause(compare, { log: "Debug", message: "cannot ask for the time of the database" })
  yield* Effect.forkScoped(Effect.schedule(follow, Schedule.spaced(interval)))

  const millis = () => (latest = Math.max(latest, Math.round(monotonic() + offset)))
  const nanos = () => BigInt(Math.round(offset * 1e6)) + own.monotonicTimeNanosUnsafe()
  const clock: PgClock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => own.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: own.monotonicTimeNanos,
    sleep: (duration) => own.sleep(duration),
    presentFor: (time) =>
      Effect.sync(() => {
        const now = millis()
        return time > now ? Math.max(now, Math.round(monotonic() + offsetBefore)) : now
      })
  }
  return clock
})

/** Provides the database's time to every layer above. */
export const layer = (options?: Options): Layer.Layer<never, never, SqlClient.SqlClient> =>
  Layer.effectContext(
    Effect.map(make(options), (clock) =>
      Context.make(Clock.Clock, clock).pipe(Context.add(PresentFor, clock.presentFor))
    )
  )
