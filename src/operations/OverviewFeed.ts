/**
 * Keeps the overview of the service: one actor that reads the metrics once a second, however many watchers there are.
 *
 * - It keeps the recent readings, and a {@link History} of a day, so that plots are full when a page opens.
 * - The ranges of hours are those of all replicas, from the store in which each of them keeps a point every 36 seconds, and
 *   end with the last one. While that does not respond, and before it has any, they are of this replica since its start.
 *   Watchers that ask within ten seconds share one reading of the store.
 * - A watcher gets the points so far, then an overview per second. A slow watcher misses some and delays nobody.
 * - Readiness is checked apart, so that a database without an answer delays no reading.
 * - A reading that fails is logged; the next one comes a second later.
 */
import { Clock, Context, DateTime, Effect, Layer, PubSub, Queue, Schedule, type Scope, Stream } from "effect"
import type * as Announcements from "../pubsub/PubSub.ts"
import { Readiness } from "./Readiness.ts"
import * as History from "./History.ts"
import { HistoryStore } from "./HistoryStore.ts"
import * as Overview from "./Overview.ts"
import * as Reading from "./Reading.ts"
import * as Replicas from "./Replicas.ts"
import * as ServiceFigures from "./ServiceFigures.ts"

/** The time between two readings. */
export const interval = "1 second"

/** How long watchers of a range share one reading of the store; a replica adds a point every 36 seconds. */
const sharedFor = "10 seconds"

/** The time from a failure to keep a point to the next attempt. */
const retryInterval = "30 seconds"

/** An event for a watcher: the points of the last ten minutes at first, then overviews. */
export type Event =
  | { readonly type: "history"; readonly data: ReadonlyArray<Overview.Point> }
  | { readonly type: "overview"; readonly data: Overview.Overview }

export class OverviewFeed extends Context.Service<
  OverviewFeed,
  {
    /** The overview of the last reading. */
    readonly current: Effect.Effect<Overview.Overview>
    /** The points of a range so far, of all replicas if it {@link History.isKept}. */
    readonly history: (range: History.Range) => Effect.Effect<ReadonlyArray<Overview.Point>>
    readonly watch: Stream.Stream<Event>
  }
>()("metadata-batcher/operations/OverviewFeed") {}

type Requirements = Readiness | HistoryStore | Announcements.PubSub

export const make: Effect.Effect<OverviewFeed["Service"], never, Requirements | Scope.Scope> = Effect.gen(function* () {
  const readiness = yield* Readiness
  const store = yield* HistoryStore
  const siblings = yield* ServiceFigures.Siblings
  const startedAt = siblings?.startedAt ?? (yield* Clock.currentTimeMillis)
  const replicas = yield* Replicas.make(siblings === undefined ? process.pid : process.ppid)
  const news = yield* PubSub.sliding<Overview.Overview>(2)
  const readings: Array<Reading.Reading> = []
  const history = History.make()
  const kept = yield* Queue.sliding<Overview.Point>(History.length)
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
    const point = history.add(overview.point)
    if (point !== undefined) Queue.offerUnsafe(kept, point)
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

  yield* Queue.take(kept).pipe(
    Effect.flatMap((point) =>
      Effect.retry(store.add(replicas.name, point), {
        while: ({ reason }) => reason !== "rejected",
        schedule: Schedule.spaced(retryInterval)
      })
    ),
    Effect.catchCause((cause) => Effect.logWarning("point of the plots not kept", cause)),
    Effect.forever,
    Effect.forkScoped
  )

  const own = (range: History.Range) => Effect.sync(() => history.points(range))
  const ofAll = Effect.fnUntraced(function* (range: History.Range) {
    const seconds = History.length * History.secondsOfPoint[range]
    const points = yield* store.read(DateTime.subtract(yield* DateTime.now, { seconds }))
    return points.length === 0 ? yield* own(range) : History.ofKept(points, range)
  })
  const pointsOf = new Map<History.Range, Effect.Effect<ReadonlyArray<Overview.Point>>>()
  for (const range of History.ranges) {
    const orOwn = Effect.catch(ofAll(range), (error) =>
      Effect.andThen(Effect.logWarning("points of all replicas not read", error), own(range))
    )
    pointsOf.set(range, History.isKept(range) ? yield* Effect.cachedWithTTL(orOwn, sharedFor) : own(range))
  }

  return OverviewFeed.of({
    current: Effect.sync(() => latest),
    history: (range) => pointsOf.get(range)!,
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

export const layer: Layer.Layer<OverviewFeed, never, Requirements> = Layer.effect(OverviewFeed, make)
