import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger, Queue } from "effect"
import { TestClock } from "effect/testing"
import { BrokerError } from "../../../src/pubsub/internal/brokerError.ts"
import * as BrokerPubSub from "../../../src/pubsub/internal/brokerPubSub.ts"
import type { Driver } from "../../../src/pubsub/internal/listenerSession.ts"
import { PubSub, Resync } from "../../../src/pubsub/PubSub.ts"
import { subscribe } from "../../support/Subscription.ts"

const lost = new BrokerError({ reason: "unreachable", detail: "the broker went away" })

/** A broker in this process that can go away and come back. */
const makeBroker = () => {
  const queues = new Map<string, Queue.Queue<{ readonly payload: string }, BrokerError>>()
  let isAway = false
  const publish = (channel: string, payload: string) =>
    Effect.suspend(() => {
      if (isAway) return Effect.fail(lost)
      const queue = queues.get(channel)
      if (queue !== undefined) Queue.offerUnsafe(queue, { payload })
      return Effect.void
    })
  const driver: Driver<BrokerPubSub.BrokerConnection, BrokerError> = {
    connect: Effect.suspend(() => {
      if (isAway) return Effect.fail(lost)
      const listen = (channel: string) =>
        Effect.tap(Queue.unbounded<{ readonly payload: string }, BrokerError>(), (queue) =>
          Effect.sync(() => queues.set(channel, queue))
        )
      return Effect.succeed({ listen, publish, beat: publish, check: publish("", "") })
    }),
    broken: () => lost,
    silent: () => lost
  }
  return {
    driver,
    publish,
    leave: Effect.sync(() => {
      isAway = true
      for (const queue of queues.values()) Queue.failCauseUnsafe(queue, Cause.fail(lost))
    }),
    comeBack: Effect.sync(() => void (isAway = false))
  }
}

const start = Effect.gen(function* () {
  const broker = makeBroker()
  const pubsub = yield* BrokerPubSub.make(broker.driver, {})
  const subscription = yield* Effect.provideService(subscribe("a"), PubSub, pubsub)
  assert.deepStrictEqual(yield* subscription.next, Resync())
  return { ...broker, ...subscription }
})

const resyncs = (count: number) => Array.from({ length: count }, () => Resync())

describe("brokerPubSub", () => {
  it.effect("gives subscribers a Resync every 5 s while the broker is away, and within 1 s of its return [BK-02]", () =>
    Effect.gen(function* () {
      const { comeBack, leave, received } = yield* start
      yield* leave
      yield* TestClock.adjust("1 second")
      yield* received

      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* received, resyncs(4))

      yield* comeBack
      yield* TestClock.adjust("1 second")
      assert.isNotEmpty(yield* received)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("tries to connect at least three times in two seconds", () =>
    Effect.gen(function* () {
      const { comeBack, driver, leave } = makeBroker()
      let attempts = 0
      const connect = Effect.suspend(() => {
        attempts++
        return driver.connect
      })
      const pubsub = yield* BrokerPubSub.make({ ...driver, connect }, {})
      yield* Effect.provideService(subscribe("a"), PubSub, pubsub)
      yield* leave
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(attempts, 16)
      yield* comeBack
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("shows a publication that failed as a gap in its heartbeats, at once [BK-04]", () =>
    Effect.gen(function* () {
      const { driver } = makeBroker()
      const beats: Array<number> = []
      const connect = Effect.map(driver.connect, (connection) => ({
        ...connection,
        publish: () => Effect.fail(lost),
        beat: (channel: string, payload: string) => {
          beats.push(Number(payload.split(" ")[1]))
          return connection.beat(channel, payload)
        }
      }))
      const pubsub = yield* BrokerPubSub.make({ ...driver, connect }, {})
      yield* TestClock.adjust(0)
      const before = [...beats]

      yield* Effect.flip(pubsub.publish("a", "lost"))
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(beats, [...before, before.length + 1])
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it("percent-encodes what NATS does not take in the name of a channel", () => {
    assert.strictEqual(BrokerPubSub.nameAtBroker("p", "agent:é_1"), "p.agent:é_1")
    assert.strictEqual(BrokerPubSub.nameAtBroker("p", "a.b *>%\n\u0085"), "p.a%2Eb%20%2A%3E%25%0A%C2%85")
  })

  it.effect("gives subscribers a Resync every 5 s while another replica is silent, for a minute [BK-08]", () =>
    Effect.gen(function* () {
      const { publish, received } = yield* start
      for (let number = 0; number < 10; number++) {
        yield* publish("listener-heartbeat", `there ${number}`)
        yield* TestClock.adjust("2 seconds")
      }
      assert.deepStrictEqual(yield* received, [])

      yield* TestClock.adjust("10 seconds")
      const first = yield* received
      assert.deepStrictEqual(first, resyncs(first.length))
      assert.isNotEmpty(first)
      yield* TestClock.adjust("20 seconds")
      assert.isAtLeast((yield* received).length, 4)

      yield* TestClock.adjust("1 minute")
      yield* received
      yield* TestClock.adjust("40 seconds")
      assert.isAtMost((yield* received).length, 1)
    })
  )

  it.effect("gives subscribers a Resync about once a minute although nothing has failed [BK-04]", () =>
    Effect.gen(function* () {
      const { received } = yield* start

      yield* TestClock.adjust("45 seconds")
      assert.deepStrictEqual(yield* received, [])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* received, resyncs(1))
    })
  )
})
