/**
 * Keeps the overview of the service: one actor that reads the metrics once a second, however many watchers there are.
 *
 * - It keeps the recent readings, and a {@link History} of a day, so that plots are full when a page opens.
 * - A watcher gets the points so far, then an overview per second. A slow watcher misses some and delays nobody.
 * - Readiness is checked apart, so that a database without an answer delays no reading.
 * - A reading that fails is logged; the next one comes a second later.
 */
import { Clock, Context, Effect, Layer, PubSub, Schedule, type Scope, Stream } from "effect"
import type * as Announcements from "../pubsub/PubSub.ts"
import { Readiness } from "./Readiness.ts"
import * as History from "./History.ts"
import * as Overview from "./Overview.ts"
import * as Reading from "./Reading.ts"
import * as Replicas from "./Replicas.ts"
import * as ServiceFigures from "./ServiceFigures.ts"

/** The time between two readings. */
export const interval = "1 second"

/** An event for a watcher: the points of the last ten minutes at first, then overviews. */
export type Event =
  | { readonly type: "history"; readonly data: ReadonlyArray<Overview.Point> }
  | { readonly type: "overview"; readonly data: Overview.Overview }

export class OverviewFeed extends Context.Service<
  OverviewFeed,
  {
    /** The overview of the last reading. */
    readonly current: Effect.Effect<Overview.Overview>
    /** The points of a range so far. */
    readonly history: (range: History.Range) => Effect.Effect<ReadonlyArray<Overview.Point>>
    readonly watch: Stream.Stream<Event>
  }
>()("metadata-batcher/operations/OverviewFeed") {}

export const make: Effect.Effect<OverviewFeed["Service"], never, Readiness | Announcements.PubSub | Scope.Scope> =
  Effect.gen(function* () {
    const readiness = yield* Readiness
    const siblings = yield* ServiceFigures.Siblings
    const startedAt = siblings?.startedAt ?? (yield* Clock.currentTimeMillis)
    const replicas = yield* Replicas.make(siblings === undefined ? process.pid : process.ppid)
    const news = yield* PubSub.sliding<Overview.Overview>(2)
    const readings: Array<Reading.Reading> = []
    const history = History.make()
    let problem: string | undefined

    const look = Effect.gen(function* () {
      const metrics = yield* ServiceFigures.metrics
      readings.push(Reading.read(yield* Clock.currentTimeMillis, metrics))
      if (readings.length > Overview.recentSeconds + 1) readings.shift()
      const overview = Overview.make(readings, {
        problem,
        startedAt,
        name: replicas.name,
        others: yield* replicas.others
      })
      history.add(overview.point)
      return overview
    })

    let latest = yield* look

    yield* readiness.problem.pipe(
      Effect.map((found) => {
        problem = found
      }),
      Effect.catchCause((cause) => Effect.logError("readiness not checked", cause)),
      Effect.repeat(Schedule.spaced(interval)),
      Effect.forkScoped
    )
    yield* look.pipe(
      Effect.flatMap((overview) => {
        latest = overview
        return PubSub.publish(news, overview)
      }),
      Effect.catchCause((cause) => Effect.logError("overview not made", cause)),
      Effect.schedule(Schedule.fixed(interval)),
      Effect.forkScoped
    )

    yield* Effect.suspend(() =>
      Effect.forEach(
        latest.fleet.replicas.filter(({ isOwn }) => isOwn),
        replicas.publish
      )
    ).pipe(Effect.schedule(Schedule.spaced(Replicas.interval)), Effect.forkScoped)

    return OverviewFeed.of({
      current: Effect.sync(() => latest),
      history: (range) => Effect.sync(() => history.points(range)),
      watch: Stream.unwrap(
        Effect.map(PubSub.subscribe(news), (subscription) =>
          Stream.concat(
            Stream.fromIterable<Event>([
              { type: "history", data: history.points("10m") },
              { type: "overview", data: latest }
            ]),
            Stream.map(Stream.fromSubscription(subscription), (data): Event => ({ type: "overview", data }))
          )
        )
      )
    })
  })

export const layer: Layer.Layer<OverviewFeed, never, Readiness | Announcements.PubSub> = Layer.effect(
  OverviewFeed,
  make
)
