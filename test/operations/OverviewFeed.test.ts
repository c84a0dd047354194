/** The actor that looks at the metrics, by the test clock. */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Latch, Metric, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Batching from "../../src/metadata/MetadataBatcherMetrics.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { HistoryStore } from "../../src/operations/HistoryStore.ts"
import type { Point } from "../../src/operations/Overview.ts"
import * as OverviewFeed from "../../src/operations/OverviewFeed.ts"
import { Readiness } from "../../src/operations/Readiness.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { point } from "../support/points.ts"

type Store = HistoryStore["Service"]

const emptyStore: Store = { add: () => Effect.void, read: () => Effect.succeed([]) }

/** A feed over metrics of its own, beside a database that is as `problem` says. */
const withFeed = <A, E, R>(
  problem: Effect.Effect<string | undefined>,
  body: (feed: OverviewFeed.OverviewFeed["Service"]) => Effect.Effect<A, E, R>,
  store = emptyStore
) =>
  OverviewFeed.make.pipe(
    Effect.flatMap(body),
    Effect.provideService(HistoryStore, store),
    Effect.provideService(Readiness, { problem }),
    Effect.provide(PubSub.layerMemory),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** The events of a watcher, one by one. */
const watch = (feed: OverviewFeed.OverviewFeed["Service"]) =>
  Effect.gen(function* () {
    const events = yield* Queue.unbounded<OverviewFeed.Event>()
    yield* Effect.forkScoped(Stream.runForEach(feed.watch, (event) => Queue.offer(events, event)))
    yield* TestClock.adjust(0)
    return events
  })

it.effect("sends the points so far, and then an overview a second, of the handles that /metrics shows", () =>
  withFeed(Effect.undefined, (feed) =>
    Effect.gen(function* () {
      yield* Metric.update(Batching.acceptedKeys, 30)
      yield* TestClock.adjust("3 seconds")
      const events = yield* watch(feed)

      const history = yield* Queue.take(events)
      const now = yield* Queue.take(events)
      assert.deepStrictEqual(history.type === "history" && history.data.map(({ at, updates }) => [at, updates]), [
        [0, 0],
        [1_000, 30],
        [2_000, 15],
        [3_000, 10]
      ])
      assert.deepStrictEqual(now, { type: "overview", data: yield* feed.current })
      assert.strictEqual(yield* Queue.size(events), 0)

      yield* Metric.update(Batching.acceptedKeys, 2)
      yield* TestClock.adjust("1 second")
      const next = yield* Queue.take(events)
      assert.deepStrictEqual(next.type === "overview" && [next.data.totals.updates, next.data.uptime], [32, 4])
    })
  )
)

it.effect("looks once a second, however many watch", () =>
  withFeed(Effect.undefined, (feed) =>
    Effect.gen(function* () {
      const watchers = yield* Effect.all([watch(feed), watch(feed), watch(feed)])
      for (const events of watchers) yield* Queue.clear(events)

      yield* TestClock.adjust("1 second")

      const seen = yield* Effect.forEach(watchers, Queue.takeAll)
      assert.deepStrictEqual(
        seen.map((events) => events.length),
        [1, 1, 1]
      )
      const [first, second, third] = seen.map(([event]) => event.data)
      // the very same object
      assert.isTrue(first === second && second === third)
    })
  )
)

it.effect("remembers ten minutes", () =>
  withFeed(Effect.undefined, (feed) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("11 minutes")

      const history = yield* Queue.take(yield* watch(feed))

      assert.deepStrictEqual(
        history.type === "history" && [history.data.length, history.data[0]!.at, history.data.at(-1)!.at],
        [600, 61_000, 660_000]
      )
    })
  )
)

it.effect("says that the service is not ready, and goes on while readiness cannot be checked", () =>
  Effect.gen(function* () {
    const answer = yield* Latch.make()
    yield* withFeed(Effect.as(answer.await, "the database does not answer"), (feed) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* feed.current).uptime, 5)
        assert.notInclude((yield* feed.current).problems, "the database does not answer")

        yield* answer.open
        yield* TestClock.adjust("1 second")
        assert.include((yield* feed.current).problems, "the database does not answer")
      })
    )
  })
)

const away = new StoreError({ operation: "keep a point", reason: "unavailable", cause: "away" })

it.effect("keeps a point every 36 seconds, also one that the store did not take at first [LF-42]", () => {
  const kept: Array<number> = []
  let isAway = true
  const store: Store = {
    ...emptyStore,
    add: (_, { at }) => Effect.suspend(() => (isAway ? Effect.fail(away) : Effect.sync(() => void kept.push(at))))
  }
  return withFeed(
    Effect.undefined,
    () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("80 seconds")
        assert.deepStrictEqual(kept, [])
        isAway = false
        yield* TestClock.adjust("40 seconds")
        assert.deepStrictEqual(kept, [36_000, 72_000, 108_000])
      }),
    store
  )
})

it.effect("goes on with the next point after one that the store refuses [LF-42]", () => {
  const offered: Array<number> = []
  const refused = new StoreError({ operation: "keep a point", reason: "rejected", cause: "no" })
  const store: Store = {
    ...emptyStore,
    add: (_, { at }) =>
      Effect.andThen(
        Effect.sync(() => void offered.push(at)),
        Effect.fail(refused)
      )
  }
  return withFeed(
    Effect.undefined,
    () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("80 seconds")
        assert.deepStrictEqual(offered, [36_000, 72_000])
      }),
    store
  )
})

it.effect("has ranges of hours of the store, and its own points while that has none or is away [LF-42]", () => {
  const since: Array<number> = []
  let stored: Effect.Effect<ReadonlyArray<Point>, StoreError> = Effect.succeed([])
  const store: Store = {
    ...emptyStore,
    read: (from) =>
      Effect.andThen(
        Effect.sync(() => void since.push(DateTime.toEpochMillis(from))),
        stored
      )
  }
  return withFeed(
    Effect.undefined,
    (feed) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("10 minutes")
        const agents = (range: "1h" | "6h" | "1d") =>
          Effect.map(feed.history(range), (points) => points.map(({ agents }) => agents))
        const own = yield* agents("1d")
        assert.notInclude(own, 7)

        stored = Effect.succeed([point(36, { agents: 7 })])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual([yield* agents("6h"), yield* agents("1d")], [[7], [7]])
        assert.notInclude(yield* agents("1h"), 7)
        const hour = 3_600_000
        assert.deepStrictEqual(since, [600_000 - 24 * hour, 610_000 - 6 * hour, 610_000 - 24 * hour])

        stored = Effect.fail(away)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* agents("1d"), own)
      }),
    store
  )
})

it.effect("reads the store once for all watchers who ask for a range within ten seconds [LF-42]", () => {
  let reads = 0
  const store: Store = {
    ...emptyStore,
    read: () =>
      Effect.as(
        Effect.tap(Effect.yieldNow, () => Effect.sync(() => void reads++)),
        []
      )
  }
  return withFeed(
    Effect.undefined,
    ({ history }) =>
      Effect.gen(function* () {
        const ask = Effect.all([history("6h"), history("6h"), history("1h")], { concurrency: "unbounded" })
        yield* ask
        yield* TestClock.adjust("9 seconds")
        yield* ask
        assert.strictEqual(reads, 1)

        yield* TestClock.adjust("1 second")
        yield* ask
        assert.strictEqual(reads, 2)
      }),
    store
  )
})
