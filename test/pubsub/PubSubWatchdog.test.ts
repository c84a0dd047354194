import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { layerMemory, PubSub, PubSubError } from "../../src/pubsub/PubSub.ts"
import * as PubSubWatchdog from "../../src/pubsub/PubSubWatchdog.ts"

/** The pubsub in memory with another way of publishing. */
const publishing = (publish: PubSub["Service"]["publish"]) =>
  Layer.effect(
    PubSub,
    PubSub.useSync((memory) => ({ ...memory, publish }))
  ).pipe(Layer.provide(layerMemory))

const broken = (operation: "publish" | "subscribe") =>
  Effect.fail(new PubSubError({ operation, channel: PubSubWatchdog.channel, cause: "broken" }))

/** A pubsub that accepts everything and delivers nothing. */
const silent = publishing(() => Effect.void)

/** The signal, as soon as it is given. */
const watch = Effect.gen(function* () {
  const watchdog = yield* PubSubWatchdog.make()
  return yield* Effect.forkScoped(Effect.flip(watchdog.timeout))
})

describe("PubSubWatchdog", () => {
  it.effect("publishes an empty heartbeat every 15 s [PS-25]", () => {
    const published: Array<readonly [string, string]> = []
    return Effect.gen(function* () {
      yield* watch
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(published, [])

      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(published, [["pubsub_watchdog", ""]])

      yield* TestClock.adjust("1 minute")
      assert.strictEqual(published.length, 5)
    }).pipe(Effect.provide(publishing((...heartbeat) => Effect.sync(() => published.push(heartbeat)))))
  })

  it.effect("gives the signal when 5 min pass in silence, and logs it as fatal [PS-26]", () =>
    Effect.gen(function* () {
      const signal = yield* watch
      yield* TestClock.adjust("299999 millis")
      assert.isUndefined(signal.pollUnsafe())

      yield* TestClock.adjust("1 milli")

      const { message, reason } = yield* Fiber.join(signal)
      assert.deepStrictEqual([reason, message], ["silence", "no heartbeat comes through the pubsub"])
      assert.include((yield* TestConsole.logLines).join(), "FATAL")
    }).pipe(Effect.provide(silent))
  )

  it.effect("gives no signal as long as its own heartbeats arrive [PS-26]", () =>
    Effect.gen(function* () {
      const signal = yield* watch

      yield* TestClock.adjust("1 hour")

      assert.isUndefined(signal.pollUnsafe())
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("waits another 5 min from each heartbeat, whoever published it [PS-27]", () =>
    Effect.gen(function* () {
      const replica = yield* PubSub
      const signal = yield* watch.pipe(Effect.provideService(PubSub, { ...replica, publish: () => Effect.void }))

      for (const _ of [1, 2, 3]) {
        yield* TestClock.adjust("4 minutes")
        yield* replica.publish(PubSubWatchdog.channel, "")
      }
      yield* TestClock.adjust("299999 millis")
      assert.isUndefined(signal.pollUnsafe())
      yield* TestClock.adjust("1 milli")

      assert.strictEqual((yield* Fiber.join(signal)).reason, "silence")
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("does not take a Resync for a heartbeat [PS-26]", () =>
    Effect.gen(function* () {
      const signal = yield* watch

      yield* TestClock.adjust("5 minutes")

      assert.strictEqual((yield* Fiber.join(signal)).reason, "silence")
    }).pipe(
      Effect.provideService(PubSub, {
        publish: () => Effect.void,
        subscribe: () => Stream.map(Stream.tick("1 minute"), () => ({ _tag: "Resync" }) as const)
      })
    )
  )

  it.effect("gives the signal at once when it cannot subscribe [PS-28]", () =>
    Effect.gen(function* () {
      const signal = yield* watch

      yield* TestClock.adjust(0)

      const error = yield* Fiber.join(signal)
      assert.deepStrictEqual([error.reason, error.message], ["subscribe", "cannot listen for heartbeats"])
      assert.instanceOf(error.cause, PubSubError)
    }).pipe(
      Effect.provideService(PubSub, {
        publish: () => Effect.void,
        subscribe: () => Stream.unwrap(broken("subscribe"))
      })
    )
  )

  it.effect("gives the signal when its subscription ends [PS-28]", () =>
    Effect.gen(function* () {
      const signal = yield* watch

      yield* TestClock.adjust(0)

      assert.strictEqual((yield* Fiber.join(signal)).reason, "subscribe")
    }).pipe(Effect.provideService(PubSub, { publish: () => Effect.void, subscribe: () => Stream.empty }))
  )

  it.effect("gives no signal when it is closed [PS-29]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const watchdog = yield* Scope.provide(PubSubWatchdog.make(), scope)
      const signal = yield* Effect.forkScoped(Effect.flip(watchdog.timeout))
      yield* TestClock.adjust("4 minutes")

      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 hour")

      assert.isUndefined(signal.pollUnsafe())
      assert.notInclude((yield* TestConsole.logLines).join(), "watchdog")
    }).pipe(Effect.provide(silent))
  )

  it.effect("warns of a heartbeat that cannot be published, and publishes the next one [PS-25, FT-01]", () => {
    let attempts = 0
    return Effect.gen(function* () {
      const signal = yield* watch

      yield* TestClock.adjust("1 hour")

      assert.strictEqual(attempts, 240)
      assert.include((yield* TestConsole.logLines).join(), "cannot publish a heartbeat")
      assert.isUndefined(signal.pollUnsafe())
    }).pipe(
      Effect.provide(
        publishing((channel) =>
          Effect.suspend(() => {
            attempts++
            return attempts % 2 === 0 ? broken("publish") : Effect.die(new Error(`a defect on ${channel}`))
          })
        )
      )
    )
  })

  it.effect("goes on for hours after an outage at one heartbeat [FT-01]", () => {
    let isUp = true
    return Effect.gen(function* () {
      const signal = yield* watch
      yield* TestClock.adjust("1 minute")

      isUp = false
      yield* TestClock.adjust("15 seconds")
      isUp = true
      yield* TestClock.adjust("3 hours")

      assert.isUndefined(signal.pollUnsafe())
    }).pipe(
      Effect.provide(
        Layer.effect(
          PubSub,
          PubSub.useSync((memory) => ({
            ...memory,
            publish: (...heartbeat) => Effect.suspend(() => (isUp ? memory.publish(...heartbeat) : broken("publish")))
          }))
        ).pipe(Layer.provide(layerMemory))
      )
    )
  })

  it.effect("counts silence only while publications succeed [FT-01]", () => {
    let isUp = true
    return Effect.gen(function* () {
      const signal = yield* watch
      yield* TestClock.adjust("4 minutes")
      isUp = false
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(signal.pollUnsafe())

      isUp = true
      yield* TestClock.adjust("45 seconds")
      assert.isUndefined(signal.pollUnsafe())
      yield* TestClock.adjust("15 seconds")

      assert.strictEqual((yield* Fiber.join(signal)).reason, "silence")
    }).pipe(Effect.provide(publishing(() => Effect.suspend(() => (isUp ? Effect.void : broken("publish"))))))
  })

  it.effect("gives no signal while the pubsub is replacing its connection [FT-01]", () => {
    let isReconnecting = false
    return Effect.gen(function* () {
      const pubsub = yield* PubSub
      const signal = yield* watch.pipe(
        Effect.provideService(PubSub, {
          publish: () => Effect.void,
          subscribe: (channel) =>
            Stream.unwrap(
              Effect.sync(() => (isReconnecting ? Stream.unwrap(broken("subscribe")) : pubsub.subscribe(channel)))
            ),
          reconnecting: Effect.sync(() => isReconnecting)
        })
      )
      isReconnecting = true
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(signal.pollUnsafe())

      isReconnecting = false
      yield* TestClock.adjust("5 minutes")

      assert.strictEqual((yield* Fiber.join(signal)).reason, "silence")
    }).pipe(Effect.provide(layerMemory))
  })

  it.effect("subscribes again when it could not while the connection was being replaced [FT-01]", () => {
    let isReconnecting = true
    return Effect.gen(function* () {
      const pubsub = yield* PubSub
      const signal = yield* watch.pipe(
        Effect.provideService(PubSub, {
          ...pubsub,
          subscribe: (channel) =>
            Stream.unwrap(
              Effect.sync(() => (isReconnecting ? Stream.unwrap(broken("subscribe")) : pubsub.subscribe(channel)))
            ),
          reconnecting: Effect.sync(() => isReconnecting)
        })
      )
      yield* TestClock.adjust("1 minute")
      isReconnecting = false

      yield* TestClock.adjust("1 hour")

      assert.isUndefined(signal.pollUnsafe())
    }).pipe(Effect.provide(layerMemory))
  })

  it.effect("takes the time that a process was stopped for one interval [FT-01]", () =>
    Effect.gen(function* () {
      const stopped = yield* Clock.Clock
      let stop = Duration.zero
      const clock: Clock.Clock = Object.assign(Object.create(stopped), {
        monotonicTimeNanosUnsafe: () => stopped.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(stop),
        currentTimeMillisUnsafe: () => stopped.currentTimeMillisUnsafe() + Duration.toMillis(stop)
      })
      const signal = yield* Effect.provideService(watch, Clock.Clock, clock)
      yield* TestClock.adjust("1 minute")

      stop = Duration.hours(1)
      yield* TestClock.adjust("30 seconds")

      assert.isUndefined(signal.pollUnsafe())
    }).pipe(Effect.provide(silent))
  )
})
