import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Logger, Queue, Redacted, References, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as PgPubSub from "../../../src/pubsub/PgPubSub.ts"
import { PubSub, PubSubError, Resync } from "../../../src/pubsub/PubSub.ts"
import * as PubSubMetrics from "../../../src/pubsub/PubSubMetrics.ts"
import * as PgProxy from "../../support/PgProxy.ts"
import * as Postgres from "../../support/Postgres.ts"
import { subscribe } from "../../support/Subscription.ts"
import { isolated } from "../../support/isolated.ts"
import { count, level, message, promptly, publish, pubsub, quiet, sent, terminateListeners } from "../support.ts"

layer(quiet, { excludeTestServices: true })("listener", (it) => {
  it.effect("gives every subscriber one Resync after a lost connection, for what went by meanwhile [PS-06]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const subscriptions = yield* Effect.all([subscribe("a"), subscribe("a"), subscribe("b")])
      for (const subscription of subscriptions) yield* subscription.next

      yield* proxy.down(Effect.andThen(publish("a", "unheard"), publish("b", "unheard")))

      for (const subscription of subscriptions) assert.deepStrictEqual(yield* subscription.next, Resync())
      yield* publish("a", "heard")
      yield* publish("b", "heard")
      for (const subscription of subscriptions) assert.deepStrictEqual(yield* subscription.next, message("heard"))
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("replaces a session that an administrator ended [PS-06]", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")
      yield* subscription.next

      yield* terminateListeners

      assert.deepStrictEqual(yield* subscription.next, Resync())
      yield* publish("a", "heard")
      assert.deepStrictEqual(yield* subscription.next, message("heard"))
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("replaces it as often as it is ended [PS-06]", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")
      for (const round of ["1", "2", "3"]) {
        assert.deepStrictEqual(yield* subscription.next, Resync())
        yield* publish("a", round)
        assert.deepStrictEqual(yield* subscription.next, message(round))
        yield* terminateListeners
      }
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("is not connected between the loss of a connection and the next one [PS-14]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const subscription = yield* subscribe("a")
      yield* subscription.next
      assert.strictEqual(yield* level(PubSubMetrics.connected), 1)

      yield* proxy.down(
        Effect.gen(function* () {
          yield* Effect.flip((yield* subscribe("b")).next)
          assert.strictEqual(yield* level(PubSubMetrics.connected), 0)
          assert.strictEqual(yield* count(PubSubMetrics.disconnections), 1)
        })
      )

      yield* subscription.next
      assert.strictEqual(yield* level(PubSubMetrics.connected), 1)
      assert.strictEqual(yield* count(PubSubMetrics.disconnections), 1)
    }).pipe(Effect.provide(pubsub({ subscribeTimeout: "500 millis" })), isolated)
  )

  it.effect("keeps a new subscription waiting for the next connection, and serves it then", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const early = yield* subscribe("a")
      yield* early.next

      const [late, again] = yield* proxy.down(
        Effect.gen(function* () {
          const { reconnecting } = yield* PubSub
          yield* Effect.repeat(reconnecting!, { until: (is) => is, schedule: Schedule.spaced("5 millis") })
          return yield* Effect.all([subscribe("b"), subscribe("a")])
        })
      )

      assert.deepStrictEqual(yield* late.next, Resync())
      yield* publish("b", "1")
      assert.deepStrictEqual(yield* late.next, message("1"))
      yield* publish("a", "2")
      assert.deepStrictEqual(yield* early.take(2), [Resync(), message("2")])
      assert.deepStrictEqual(yield* again.take(2), [Resync(), message("2")])
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("fails a subscription that waits for a connection longer than it may", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      yield* proxy.down(
        Effect.gen(function* () {
          yield* Queue.take(proxy.closed)
          const error = yield* Effect.flip((yield* subscribe("a")).next)

          assert.deepStrictEqual([error._tag, error.operation, error.channel], ["PubSubError", "subscribe", "a"])
          assert.strictEqual(yield* count(PubSubMetrics.subscribes.failed), 1)
          assert.strictEqual(yield* level(PubSubMetrics.currentEvents), 0)
        })
      )
    }).pipe(Effect.provide(pubsub({ subscribeTimeout: "50 millis" })), isolated)
  )

  it.effect("ends its connection and its subscriptions when it is closed, twice as well as once [PS-15]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const scope = yield* Scope.make()
      const pubsub = yield* Scope.provide(PgPubSub.make({ listenUrl: proxy.url }), scope)
      const open = yield* Effect.provideService(subscribe("a"), PubSub, pubsub)
      yield* open.next

      yield* Scope.close(scope, Exit.void)
      yield* Scope.close(scope, Exit.void)

      yield* Queue.take(proxy.closed)
      assert.instanceOf(yield* Effect.flip(open.next), PubSubError)
      const late = yield* Effect.provideService(subscribe("a"), PubSub, pubsub)
      assert.instanceOf(yield* Effect.flip(late.next), PubSubError)
      assert.strictEqual(yield* level(PubSubMetrics.connected), 0)
      assert.strictEqual(yield* count(PubSubMetrics.disconnections), 0)
    }).pipe(Effect.provide(PgProxy.layer), isolated)
  )

  it.effect("does not start when there is no database [PS-16]", () =>
    Effect.gen(function* () {
      const nowhere = new URL(Redacted.value((yield* Postgres.TestDatabase).url))
      nowhere.port = "1"

      const error = yield* Effect.flip(PgPubSub.make({ listenUrl: Redacted.make(nowhere.href) }))

      assert.deepStrictEqual([error._tag, error.reason], ["ListenerError", "connection"])
    })
  )

  it.effect("shows no invalid URL in its error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(PgPubSub.make({ listenUrl: Redacted.make("postgres://me:hunter2@host:port/") }))

      assert.strictEqual(error.reason, "connection")
      assert.notInclude(inspect(error, { depth: null, showHidden: true }), "hunter2")
    })
  )

  it.effect("stops starting when it is no longer wanted [PS-16]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      yield* proxy.muted(
        Effect.gen(function* () {
          const start = yield* Effect.forkChild(PgPubSub.make({ listenUrl: proxy.url }))
          yield* sent("select pg_notify($1, $2)")

          yield* promptly(Fiber.interrupt(start))

          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(start)))
          yield* Queue.take(proxy.closed)
        })
      )
    }).pipe(Effect.provide(PgProxy.layer))
  )

  it.effect(
    "does not start on a connection that delivers no notifications, as behind a transaction pooler [PS-16]",
    () =>
      Effect.gen(function* () {
        const proxy = yield* PgProxy.PgProxy
        const options = { listenUrl: proxy.url, heartbeatInterval: "50 millis", heartbeatTimeout: "50 millis" } as const

        const error = yield* proxy.muted(Effect.flip(PgPubSub.make(options)))

        assert.strictEqual(error.reason, "silence")
      }).pipe(Effect.provide(PgProxy.layer))
  )

  it.effect("replaces a connection that hangs without a word, and does not wait for it [PS-06]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const [first, second] = yield* Effect.all([subscribe("a"), subscribe("b")])
      yield* first.next
      yield* second.next

      yield* proxy.freeze
      yield* publish("a", "unheard")

      assert.deepStrictEqual(yield* promptly(first.next), Resync())
      assert.deepStrictEqual(yield* promptly(second.next), Resync())
      yield* publish("a", "heard")
      assert.deepStrictEqual(yield* first.next, message("heard"))
    }).pipe(Effect.provide(pubsub({ heartbeatInterval: "200 millis", heartbeatTimeout: "600 millis" })))
  )

  it.effect("replaces a connection that no longer delivers notifications", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const subscription = yield* subscribe("a")
      yield* subscription.next

      yield* proxy.muted(Queue.take(proxy.closed))

      assert.deepStrictEqual(yield* subscription.next, Resync())
    }).pipe(Effect.provide(pubsub({ heartbeatInterval: "200 millis", heartbeatTimeout: "600 millis" })))
  )

  it.effect("closes at once although its connection hangs [PS-15]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const scope = yield* Scope.make()
      const pubsub = yield* Scope.provide(PgPubSub.make({ listenUrl: proxy.url }), scope)
      const first = yield* Effect.provideService(subscribe("a"), PubSub, pubsub)
      yield* first.next
      yield* proxy.freeze
      const stuck = yield* Effect.provideService(subscribe("b"), PubSub, pubsub)

      yield* promptly(first.cancel)
      yield* promptly(Scope.close(scope, Exit.void))

      assert.instanceOf(yield* Effect.flip(stuck.next), PubSubError)
    }).pipe(Effect.provide(PgProxy.layer))
  )
})

const byDefault = { minBackoff: undefined, maxBackoff: undefined }

/** Runs a test over a pubsub with its default back-off, with one element for each failure to listen. */
const withFailures = Effect.fnUntraced(function* <A, E, R>(
  test: (failures: Queue.Dequeue<void>) => Effect.Effect<A, E, R>
) {
  const failures = yield* Queue.unbounded<void>()
  const failed = Logger.make<unknown, void>(({ message }) => {
    if (String(message).includes("cannot listen for messages")) Queue.offerUnsafe(failures, undefined)
  })
  return yield* Effect.provide(test(failures), Layer.provideMerge(pubsub(byDefault), Logger.layer([failed]))).pipe(
    Effect.provideService(References.MinimumLogLevel, "Debug")
  )
})

layer(quiet)("listener by default", (it) => {
  it.effect("replaces a connection within 30 s that hangs without a word", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const subscription = yield* subscribe("a")
      yield* subscription.next

      yield* proxy.freeze
      yield* TestClock.adjust("22 seconds")

      assert.deepStrictEqual(yield* subscription.next, Resync())
    }).pipe(Effect.provide(pubsub(byDefault)))
  )

  it.effect("is replaced within 5 s of the end of an outage of 70 s during which nobody published [FT-22]", () =>
    withFailures((failures) =>
      Effect.gen(function* () {
        const proxy = yield* PgProxy.PgProxy
        const subscription = yield* subscribe("a")
        yield* subscription.next
        const began = yield* Clock.currentTimeMillis
        const elapsed = Effect.map(Clock.currentTimeMillis, (now) => now - began)
        const passes = Effect.raceFirst(Queue.take(failures), Effect.forever(TestClock.adjust("100 millis")))
        yield* proxy.down(Effect.repeat(Effect.andThen(passes, elapsed), { while: (millis) => millis < 70_000 }))

        yield* TestClock.adjust("5 seconds")

        assert.deepStrictEqual(yield* promptly(subscription.next), Resync())
      })
    )
  )

  it.effect("is replaced as soon as a publication has got through, however long the pause has become", () =>
    withFailures((failures) =>
      Effect.gen(function* () {
        const proxy = yield* PgProxy.PgProxy
        const subscription = yield* subscribe("a")
        yield* subscription.next
        yield* proxy.down(
          Effect.repeat(Effect.raceFirst(Queue.take(failures), Effect.forever(TestClock.adjust("1 minute"))), {
            times: 7
          })
        )

        yield* publish("a", "unheard")
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(yield* subscription.next, Resync())
        yield* publish("a", "heard")
        assert.deepStrictEqual(yield* subscription.next, message("heard"))
      })
    )
  )
})
