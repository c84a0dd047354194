import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Metric, Option, Stream } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { layerMemory, PubSub, PubSubError } from "../../src/pubsub/PubSub.ts"
import * as PubSubLatency from "../../src/pubsub/PubSubLatency.ts"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"
import * as Utf8 from "../../src/domain/Utf8.ts"
import { isolated } from "../support/isolated.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

type Publish = PubSub["Service"]["publish"]

/** The pubsub in memory with another way of publishing. */
const publishing = (publish: (deliver: Publish) => Publish) =>
  Layer.effect(
    PubSub,
    PubSub.useSync((memory) => ({ ...memory, publish: publish(memory.publish) }))
  ).pipe(Layer.provide(layerMemory))

/** Accepts a message after 20 ms and delivers it `delay` after it was published. */
const delivering = (delay: Duration.Input) =>
  publishing((deliver) =>
    Effect.fnUntraced(function* (channel, payload) {
      yield* Effect.forkDetach(Effect.delay(deliver(channel, payload), delay), { startImmediately: true })
      yield* Effect.sleep("20 millis")
    })
  )

const broken = (operation: "publish" | "subscribe") =>
  Effect.fail(new PubSubError({ operation, channel: "latency", cause: "broken" }))

/** One measurement, with all the time it may take. */
const measureOnce = Effect.gen(function* () {
  const { measure } = yield* PubSubLatency.make()
  const fiber = yield* Effect.forkChild(measure)
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.join(fiber)
})

describe("PubSubLatency", () => {
  it.effect("measures how long sending and receiving takes [PS-20]", () =>
    Effect.gen(function* () {
      const latency = yield* measureOnce

      assert.deepStrictEqual([Duration.toMillis(latency.send), Duration.toMillis(latency.receive)], [20, 30])
    }).pipe(Effect.provide(delivering("30 millis")))
  )

  it.effect("says when a message came before its publication was accepted [PS-20]", () =>
    Effect.gen(function* () {
      const latency = yield* measureOnce

      assert.deepStrictEqual([Duration.toMillis(latency.send), Duration.toMillis(latency.receive)], [20, 5])
    }).pipe(Effect.provide(delivering("5 millis")))
  )

  it.effect("gives up after 10 s without the message, knowing how long sending took [PS-21]", () =>
    Effect.gen(function* () {
      const { measure } = yield* PubSubLatency.make()
      const fiber = yield* Effect.forkChild(Effect.flip(measure))
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 milli")

      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual(Option.map(error.send, Duration.toMillis), Option.some(20))
    }).pipe(Effect.provide(delivering(Duration.infinity)))
  )

  it.effect("fails without a time of sending when publishing fails [PS-22]", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(measureOnce)

      assert.deepStrictEqual(error.send, Option.none())
      assert.instanceOf(error.cause, PubSubError)
    }).pipe(Effect.provide(publishing(() => () => broken("publish"))))
  )

  it.effect("fails without a time of sending when subscribing fails [PS-22]", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(measureOnce)

      assert.deepStrictEqual(error.send, Option.none())
      assert.instanceOf(error.cause, PubSubError)
    }).pipe(
      Effect.provideService(PubSub, {
        publish: () => Effect.void,
        subscribe: () => Stream.unwrap(broken("subscribe"))
      })
    )
  )

  it.effect("takes no message of an earlier measurement for its own, however late it comes [PS-23]", () =>
    Effect.gen(function* () {
      const { measure } = yield* PubSubLatency.make({ timeout: "1 second" })
      const first = yield* Effect.forkChild(Effect.flip(measure))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)

      const second = yield* Effect.forkChild(Effect.flip(measure))
      yield* TestClock.adjust("1 second")

      const { send } = yield* Fiber.join(second)
      assert.deepStrictEqual(Option.map(send, Duration.toMillis), Option.some(20))
      assert.notInclude((yield* TestConsole.logLines).join(), "unexpected")
    }).pipe(Effect.provide(delivering("1500 millis")))
  )

  it.effect("ignores a message that it did not send, and logs that there was one", () =>
    Effect.gen(function* () {
      const latency = yield* measureOnce

      assert.strictEqual(Duration.toMillis(latency.receive), 40)
      assert.include((yield* TestConsole.logLines).join(), "unexpected message")
    }).pipe(
      Effect.provide(
        publishing(
          (deliver) => (channel, payload) =>
            deliver(channel, "intruder").pipe(
              Effect.andThen(Effect.sleep("40 millis")),
              Effect.andThen(deliver(channel, payload))
            )
        )
      )
    )
  )

  it("names channels of at most 63 bytes, ten thousand million times over [PS-24]", () => {
    const name = PubSubLatency.channelName("f47ac10b-58cc-4372-a567-0e02b2c3d479", 9_999_999_999)

    assert.strictEqual(Utf8.byteLength(name), 63)
  })

  it.effect("gives each measurement a channel of its instance, and sends an id of 36 characters [PS-23] [PS-24]", () =>
    Effect.gen(function* () {
      const published: Array<readonly [string, string]> = []
      const layer = publishing((deliver) => (channel, payload) => {
        published.push([channel, payload])
        return deliver(channel, payload)
      })

      yield* Effect.gen(function* () {
        const { measure } = yield* PubSubLatency.make()
        yield* Effect.andThen(measure, measure)
        yield* (yield* PubSubLatency.make()).measure
      }).pipe(Effect.provide(layer))

      const [first, second, other] = published.map(([channel]) => channel)
      assert.match(first!, /^latency-measure:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.0$/)
      assert.strictEqual(second, first!.replace(/0$/, "1"))
      assert.notStrictEqual(other, first)
      assert.deepStrictEqual(
        published.map(([, payload]) => payload.length),
        [36, 36, 36]
      )
    })
  )

  it.effect("counts measurements and failures, and spreads the times over histograms", () =>
    Effect.gen(function* () {
      yield* Effect.provide(measureOnce, delivering("30 millis"))
      yield* Effect.flip(Effect.provide(measureOnce, delivering(Duration.infinity)))
      yield* Effect.flip(
        Effect.provide(
          measureOnce,
          publishing(() => () => broken("publish"))
        )
      )

      assert.strictEqual((yield* Metric.value(PubSubMetrics.latencyMeasures)).count, 3)
      assert.strictEqual((yield* Metric.value(PubSubMetrics.latencyMeasureErrors)).count, 2)
      const send = yield* Metric.value(PubSubMetrics.sendLatencySeconds("postgres"))
      const receive = yield* Metric.value(PubSubMetrics.receiveLatencySeconds("postgres"))
      assert.deepStrictEqual([send.count, send.sum], [2, 0.04])
      const bounds = send.buckets.map(([bound]) => bound)
      assert.deepStrictEqual([bounds[0], bounds[1], bounds.at(-2)], [0.001, 0.002, 8.192])
      assert.deepStrictEqual([receive.count, receive.sum], [1, 0.03])
    }).pipe(isolated)
  )

  it.effect("measures every 15 s for the metrics, and notes a failure for those who look for it [PS-23]", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { count: before } = yield* Metric.value(PubSubMetrics.latencyMeasures)
      const measures = Effect.map(Metric.value(PubSubMetrics.latencyMeasures), ({ count }) => count - before)
      yield* Effect.forkChild(PubSubLatency.measureForever("nats"), { startImmediately: true })
      yield* TestClock.adjust("14999 millis")
      assert.strictEqual(yield* measures, 0)

      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* measures, 1)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* measures, 3)
      assert.deepStrictEqual(
        records.map(({ level }) => level),
        ["Debug", "Debug", "Debug"]
      )
      assert.include(records[0]!.cause, "no message could be published")
    }).pipe(Effect.provide(publishing(() => () => broken("publish"))), collectLogs(records), isolated)
  })
})
