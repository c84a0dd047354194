/** A listener whose connections open, fail and break as the test says. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Listener from "../../../src/pubsub/internal/listener.ts"
import * as Subscribers from "../../../src/pubsub/internal/subscribers.ts"
import { Message, Resync } from "../../../src/pubsub/PubSub.ts"
import * as PubSubMetrics from "../../../src/pubsub/PubSubMetrics.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { isolated } from "../../support/isolated.ts"
import { count, level } from "../support.ts"

class Broken extends Data.TaggedError("Broken")<{ readonly reason: string }> {}

const start = Effect.fnUntraced(function* (options: { readonly stateWhileConnecting?: "subscribed" } = {}) {
  const world = {
    isAway: false,
    isDeaf: false,
    dies: false,
    connection: 0,
    breaks: [] as Array<Deferred.Deferred<never, Broken>>,
    queues: new Map<string, Queue.Queue<{ readonly payload: string }, Broken>>(),
    left: [] as Array<string>
  }
  let listener: Listener.Listener<never, Broken> | undefined
  const subscribers = Subscribers.make({
    initialState: "pending",
    onDemand: (channel) => Effect.sync(() => listener!.sync(channel))
  })
  const connect = Effect.gen(function* () {
    if (world.dies) return yield* Effect.die(new Error("a defect"))
    if (world.isAway) return yield* new Broken({ reason: "away" })
    const broken = yield* Deferred.make<never, Broken>()
    world.breaks.push(broken)
    world.connection++
    return {
      listen: Effect.fnUntraced(function* (channel: string) {
        if (channel === "refused") return yield* new Broken({ reason: "no such channel" })
        const queue = yield* Queue.unbounded<{ readonly payload: string }, Broken>()
        world.queues.set(channel, queue)
        yield* Effect.addFinalizer(() => Effect.sync(() => world.left.push(channel)))
        return queue
      }),
      beat: (channel: string, payload: string) =>
        Effect.raceFirst(
          Deferred.await(broken),
          Effect.sync(() => void (world.isDeaf || Queue.offerUnsafe(world.queues.get(channel)!, { payload })))
        ),
      check: Effect.void
    }
  })
  const scope = yield* Scope.make()
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  listener = yield* (
    Listener.make({
      driver: { connect, broken: (cause) => cause as Broken, silent: () => new Broken({ reason: "silence" }) },
      subscribers,
      heartbeats: {
        channel: "heartbeats",
        next: () => "",
        receive: (payload) => ({ isOwn: payload === "", isGap: false })
      },
      heartbeatInterval: "10 seconds",
      heartbeatTimeout: "10 seconds",
      minBackoff: "1 second",
      maxBackoff: "2 seconds",
      ...options
    }) as Effect.Effect<Listener.Listener<never, Broken>, Broken, Scope.Scope>
  ).pipe(Scope.provide(scope))
  return {
    world,
    listener,
    subscribers,
    close,
    /** Breaks the connection, which the next heartbeat finds out. */
    breakIt: Effect.andThen(
      Effect.suspend(() => Deferred.fail(world.breaks.at(-1)!, new Broken({ reason: "cut" }))),
      TestClock.adjust("10 seconds")
    )
  }
})

const levels = (records: Array<LogRecord>) => records.splice(0).map(({ level, message }) => `${level}: ${message}`)

describe("a listener", () => {
  it.effect("warns once of each outage, however many attempts fail in it, and says when it listens again", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { breakIt, listener, world } = yield* start()
      assert.deepStrictEqual(levels(records), ["Info: listening for messages"])

      for (const outage of [1, 2]) {
        world.isAway = true
        yield* breakIt
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(listener.isConnecting())
        assert.isUndefined(listener.session())
        assert.strictEqual(yield* level(PubSubMetrics.connected), 0)
        assert.strictEqual(yield* count(PubSubMetrics.disconnections), outage)
        const [lost, first, ...further] = levels(records)
        assert.deepStrictEqual(
          [lost, first, new Set(further)],
          [
            "Warn: lost the listening connection",
            "Warn: cannot listen for messages",
            new Set(["Debug: cannot listen for messages"])
          ]
        )

        world.isAway = false
        yield* TestClock.adjust("5 seconds")
        assert.isFalse(listener.isConnecting())
        assert.isDefined(listener.session())
        assert.strictEqual(yield* level(PubSubMetrics.connected), 1)
        assert.deepStrictEqual(levels(records), ["Info: listening for messages"])
      }
    }).pipe(collectLogs(records), isolated)
  })

  it.effect("fails when its first connection fails, without a warning", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "pending" })
      const error = yield* Effect.flip(
        Listener.make({
          driver: {
            connect: Effect.fail(new Broken({ reason: "away" })),
            broken: (cause) => cause as Broken,
            silent: () => new Broken({ reason: "silence" })
          },
          subscribers,
          heartbeats: { channel: "heartbeats", next: () => "", receive: () => ({ isOwn: true, isGap: false }) },
          heartbeatInterval: "10 seconds",
          heartbeatTimeout: "10 seconds",
          minBackoff: "1 second",
          maxBackoff: "2 seconds"
        })
      )
      assert.strictEqual(error.reason, "away")
      assert.deepStrictEqual(levels(records), ["Debug: cannot listen for messages"])
    }).pipe(collectLogs(records))
  })

  it.effect("replaces a connection that does not hear itself for 20 seconds [PS-16]", () =>
    Effect.gen(function* () {
      const { listener, world } = yield* start()
      world.isDeaf = true

      // heartbeats of other replicas do not count
      for (let second = 0; second < 19; second++) {
        yield* Queue.offer(world.queues.get("heartbeats")!, { payload: "of another" })
        yield* TestClock.adjust("1 second")
      }
      assert.isFalse(listener.isConnecting())
      yield* TestClock.adjust("1 second")
      assert.isTrue(listener.isConnecting())
      world.isDeaf = false
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([listener.isConnecting(), world.connection], [false, 2])
    })
  )

  it.effect("listens to a channel while it has subscribers, and tells them of each new connection [PS-06]", () =>
    Effect.gen(function* () {
      const { breakIt, subscribers, world } = yield* start()
      const scope = yield* Scope.make()
      const queue = yield* Scope.provide(subscribers.join("a"), scope)
      yield* TestClock.adjust("1 millis")
      yield* Queue.offer(world.queues.get("a")!, { payload: "1" })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Queue.takeAll(queue), [Resync(), Message({ payload: "1" })])

      yield* breakIt
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Queue.takeAll(queue), [Resync()])

      world.left.length = 0
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(world.left, ["a"])
      const again = yield* subscribers.join("a")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Queue.takeAll(again), [Resync()])
    })
  )

  it.effect("lets subscribers wait or read at intervals while it connects, as its options say [BK-02]", () =>
    Effect.gen(function* () {
      for (const [options, expected] of [
        [{}, 0],
        [{ stateWhileConnecting: "subscribed" }, 1]
      ] as const) {
        const { breakIt, subscribers, world } = yield* start(options)
        world.isAway = true
        yield* breakIt
        const queue = yield* subscribers.join("a")
        assert.strictEqual(yield* Queue.size(queue), expected)
      }
    })
  )

  it.effect(
    "fails the subscriptions to a channel that a living connection cannot listen to, and no others [PS-09]",
    () =>
      Effect.gen(function* () {
        const { listener, subscribers } = yield* start()
        const [refused, other] = [yield* subscribers.join("refused"), yield* subscribers.join("a")]
        yield* TestClock.adjust("1 millis")

        const error = yield* Effect.flip(Queue.take(refused))
        assert.deepInclude(error, { _tag: "PubSubError", operation: "subscribe", channel: "refused" })
        assert.deepStrictEqual(yield* Queue.takeAll(other), [Resync()])
        assert.isFalse(listener.isConnecting())
      })
  )

  it.effect("fails all subscriptions at its end, which is an error only if it died", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      for (const dies of [false, true]) {
        const { breakIt, close, listener, subscribers, world } = yield* start()
        const queue = yield* subscribers.join("a")
        yield* TestClock.adjust("1 millis")
        yield* Queue.takeAll(queue)
        records.length = 0
        world.dies = dies

        if (dies) yield* Effect.andThen(breakIt, TestClock.adjust("2 seconds"))
        else yield* close
        const error = yield* Effect.flip(Queue.take(queue))
        assert.deepInclude(error, { operation: "subscribe", channel: "a" })
        assert.match(String(error.cause), /the listener ended/)
        const late = yield* Effect.flip(Effect.flatMap(subscribers.join("b"), Queue.take))
        assert.strictEqual(late.channel, "b")
        assert.isFalse(listener.isConnecting())
        assert.strictEqual(yield* level(PubSubMetrics.connected), 0)
        assert.strictEqual(levels(records).includes("Error: the listener died"), dies)
      }
    }).pipe(collectLogs(records), isolated)
  })
})
