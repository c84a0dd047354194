/** A pubsub over a broker, which is in memory here, with channels of a real database. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as DatabaseChannels from "../../src/pubsub/DatabaseChannels.ts"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { layerMemory, PubSub, Resync } from "../../src/pubsub/PubSub.ts"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { subscribe } from "../support/Subscription.ts"
import { isolated } from "../support/isolated.ts"
import { count, level, message, quiet } from "./support.ts"

const make = Effect.fnUntraced(function* (options: PgPubSub.Options = {}) {
  const broker = Context.get(yield* Layer.build(layerMemory), PubSub)
  const pubsub = yield* DatabaseChannels.add(broker, ["announced"], options)
  const on = Effect.provideService(PubSub, pubsub)
  return { broker, pubsub, subscribe: (channel: string) => on(subscribe(channel)) }
})

/** Announces as a trigger of the database does. */
const notify = (channel: string, payload: string) =>
  SqlClient.SqlClient.use((sql) => sql`SELECT pg_notify(${channel}, ${payload})`)

layer(quiet, { excludeTestServices: true })("the channels of the database beside those of a broker", (it) => {
  it.effect("bring what the database announces and what the broker carries, and no other channel does", () =>
    Effect.gen(function* () {
      const { broker, subscribe } = yield* make()
      const [announced, other] = [yield* subscribe("announced"), yield* subscribe("other")]
      assert.deepStrictEqual(yield* announced.take(2), [Resync(), Resync()])
      assert.deepStrictEqual(yield* other.next, Resync())

      yield* notify("other", "of the database")
      yield* notify("announced", "of the database")
      assert.deepStrictEqual(yield* announced.next, message("of the database"))
      for (const [channel, subscription] of [
        ["announced", announced],
        ["other", other]
      ] as const) {
        yield* broker.publish(channel, "of the broker")
        assert.deepStrictEqual(yield* subscription.next, message("of the broker"))
      }
    })
  )

  it.effect("get no publications, which go to the broker alone", () =>
    Effect.gen(function* () {
      const { pubsub, subscribe: subscribeHere } = yield* make()
      const database = yield* PgPubSub.make()
      const here = yield* subscribeHere("announced")
      const there = yield* Effect.provideService(subscribe("announced"), PubSub, database)
      yield* here.take(2)
      yield* there.next

      yield* pubsub.publish("announced", "1")
      yield* notify("announced", "2")

      assert.deepStrictEqual(yield* here.take(2), [message("1"), message("2")])
      assert.deepStrictEqual(yield* there.next, message("2"))
    })
  )

  it.effect("leave the metrics to the broker", () =>
    Effect.gen(function* () {
      const { subscribe } = yield* make()
      const { cancel, take } = yield* subscribe("announced")
      yield* take(2)

      const levels = Effect.all([level(PubSubMetrics.connected), level(PubSubMetrics.currentSubscribers)])
      assert.deepStrictEqual(yield* levels, [0, 0])
      assert.strictEqual(yield* count(PubSubMetrics.subscribes.succeeded), 0)
      yield* cancel
      assert.deepStrictEqual(yield* levels, [0, 0])
    }).pipe(isolated)
  )

  it.effect("have the messages of the broker alone where the database cannot be listened to, and warn once", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { broker, subscribe } = yield* make({ listenUrl: Redacted.make("postgresql://127.0.0.1:1/none") })
      const subscriptions = [yield* subscribe("announced"), yield* subscribe("announced")]
      yield* Effect.forEach(subscriptions, ({ next }) => next)

      yield* broker.publish("announced", "1")

      for (const { next } of subscriptions) assert.deepStrictEqual(yield* next, message("1"))
      yield* Effect.yieldNow.pipe(Effect.repeat({ until: () => records.some(({ level }) => level === "Warn") }))
      const warnings = records.filter(({ level }) => level === "Warn")
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0]!.message, /^the announcements of the database are not received: /)
      assert.include(warnings[0]!.cause, "the listening connection cannot be opened")
      for (const { received } of subscriptions) assert.deepStrictEqual(yield* received, [])
    }).pipe(collectLogs(records))
  })
})
