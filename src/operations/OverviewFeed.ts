/**
 * The overview of this process: an actor that reads the metrics once a second, however many look at them.
 *
 * - It remembers what is recent, and {@link historyLength} points, so that plots are full when a page opens.
 * - A watcher gets the points that there are, then an overview a second. A slow watcher misses some, and delays nobody.
 * - Whether the service is ready is asked apart, so that a database that does not answer delays no figure.
 * - A look that fails is logged; the next one comes a second later.
 */
import { Clock, Context, Effect, Layer, PubSub, Schedule, type Scope, Stream } from "effect"
import { Readiness } from "./Readiness.ts"
import * as Overview from "./Overview.ts"
import * as Reading from "./Reading.ts"

/** The time between two looks. */
export const interval = "1 second"

/** How many points are remembered: those of ten minutes. */
export const historyLength = 600

/** An event of a watcher: at first all remembered points, and then the new ones. */
export type Event =
  | { readonly type: "history"; readonly data: ReadonlyArray<Overview.Point> }
  | { readonly type: "overview"; readonly data: Overview.Overview }

export class OverviewFeed extends Context.Service<
  OverviewFeed,
  {
    /** The overview of the last look. */
    readonly current: Effect.Effect<Overview.Overview>
    readonly watch: Stream.Stream<Event>
  }
>()("metadata-batcher/operations/OverviewFeed") {}

export const make: Effect.Effect<OverviewFeed["Service"], never, Readiness | Scope.Scope> = Effect.gen(function* () {
  const readiness = yield* Readiness
  const startedAt = yield* Clock.currentTimeMillis
  const news = yield* PubSub.sliding<Overview.Overview>(2)
  const readings: Array<Reading.Reading> = []
  const history: Array<Overview.Point> = []
  let problem: string | undefined

  const look = Effect.gen(function* () {
    readings.push(yield* Reading.read(yield* Clock.currentTimeMillis))
    if (readings.length > Overview.recentSeconds + 1) readings.shift()
    const overview = Overview.make(readings, { problem, startedAt })
    history.push(overview.point)
    if (history.length > historyLength) history.shift()
    return overview
  })

  let latest = yield* look

  yield* readiness.problem.pipe(
    Effect.map((found) => {
      problem = found
    }),
    Effect.catchCause((cause) => Effect.logError("the readiness cannot be told", cause)),
    Effect.repeat(Schedule.spaced(interval)),
    Effect.forkScoped
  )
  yield* look.pipe(
    Effect.flatMap((overview) => {
      latest = overview
      return PubSub.publish(news, overview)
    }),
    Effect.catchCause((cause) => Effect.logError("the overview cannot be told", cause)),
    Effect.schedule(Schedule.fixed(interval)),
    Effect.forkScoped
  )

  return OverviewFeed.of({
    current: Effect.sync(() => latest),
    watch: Stream.unwrap(
      Effect.map(PubSub.subscribe(news), (subscription) =>
        Stream.concat(
          Stream.fromIterable<Event>([
            { type: "history", data: [...history] },
            { type: "overview", data: latest }
          ]),
          Stream.map(Stream.fromSubscription(subscription), (data): Event => ({ type: "overview", data }))
        )
      )
    )
  })
})

export const layer: Layer.Layer<OverviewFeed, never, Readiness> = Layer.effect(OverviewFeed, make)
