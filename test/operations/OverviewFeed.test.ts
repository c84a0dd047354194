/** The actor that looks at the metrics, by the test clock. */
import { assert, it } from "@effect/vitest"
import { Effect, Latch, Metric, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Batching from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as OverviewFeed from "../../src/operations/OverviewFeed.ts"
import { Readiness } from "../../src/operations/Readiness.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"

/** A feed over metrics of its own, beside a database that is as `problem` says. */
const withFeed = <A, E, R>(
  problem: Effect.Effect<string | undefined>,
  body: (feed: OverviewFeed.OverviewFeed["Service"]) => Effect.Effect<A, E, R>
) =>
  OverviewFeed.make.pipe(
    Effect.flatMap(body),
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
