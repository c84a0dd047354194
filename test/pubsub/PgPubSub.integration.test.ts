import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Redacted, Scope, Stream } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { PubSub, PubSubError, Resync } from "../../src/pubsub/PubSub.ts"
import * as PubSubLatency from "../../src/pubsub/PubSubLatency.ts"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"
import { recordSpans } from "../support/spans.ts"
import { subscribe } from "../support/Subscription.ts"
import { isolated } from "../support/isolated.ts"
import { count, level, message, publish, pubsub, quiet, sent } from "./support.ts"

layer(quiet, { excludeTestServices: true })("PgPubSub", (it) => {
  it.effect("carries messages to the subscribers of all replicas, in the order of publication [PS-04]", () =>
    Effect.gen(function* () {
      const here = yield* subscribe("a")
      const there = yield* Effect.provideService(subscribe("a"), PubSub, yield* PgPubSub.make())
      assert.deepStrictEqual([yield* here.next, yield* there.next], [Resync(), Resync()])
      const payloads = Array.from({ length: 50 }, (_, i) => String(i))

      yield* Effect.forEach(payloads, (payload) => publish("a", payload))

      assert.deepStrictEqual(yield* here.take(50), payloads.map(message))
      assert.deepStrictEqual(yield* there.take(50), payloads.map(message))
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("makes one statement of publications that arrive while another runs [FT-41]", () =>
    Effect.gen(function* () {
      let statements = 0
      const pubsub = yield* PgPubSub.make({
        runStatement: (statement, timeout) => {
          statements++
          return Effect.timeout(statement, timeout)
        }
      })
      const subscription = yield* subscribe("a")
      yield* subscription.next
      const payloads = Array.from({ length: 500 }, (_, i) => String(i))

      const [invalid] = yield* Effect.all(
        [
          Effect.forEach(["x".repeat(8_000), "a\0b"], (payload) => Effect.flip(pubsub.publish("a", payload))),
          Effect.forEach(payloads, (payload) => pubsub.publish("a", payload), { concurrency: "unbounded" })
        ],
        { concurrency: "unbounded" }
      )

      assert.deepStrictEqual(yield* subscription.take(500), payloads.map(message))
      assert.isAtMost(statements, 2)
      // neither reaches the statement of the others
      assert.deepStrictEqual(
        invalid.map(({ operation }) => operation),
        ["publish", "publish"]
      )
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("does not let a blocked subscriber delay the others [PS-05]", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub
      yield* pubsub.subscribe("a").pipe(
        Stream.runForEach(() => Effect.never),
        Effect.forkScoped
      )
      const other = yield* subscribe("a")
      yield* other.next

      yield* publish("a", "1")
      yield* publish("a", "2")

      assert.deepStrictEqual(yield* other.take(2), [message("1"), message("2")])
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("listens once to a channel, however many subscribers it has [PS-07]", () =>
    Effect.gen(function* () {
      const subscriptions = yield* Effect.all([subscribe("a"), subscribe("a")])
      for (const subscription of subscriptions) yield* subscription.next
      yield* (yield* subscribe("a")).next
      yield* (yield* subscribe("b")).next

      const before = yield* sent(`LISTEN "b"`)
      assert.deepStrictEqual(
        before.filter((statement) => statement === `LISTEN "a"`),
        [`LISTEN "a"`]
      )
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("ceases to listen to a channel when its last subscriber leaves, not before [PS-08]", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([subscribe("a"), subscribe("a")])
      yield* first.next
      yield* second.next

      yield* first.cancel
      yield* (yield* subscribe("b")).next
      assert.notInclude(yield* sent(`LISTEN "b"`), `UNLISTEN "a"`)

      yield* second.cancel
      yield* sent(`UNLISTEN "a"`)
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("listens for a subscriber that comes while the last one leaves [PS-08]", () =>
    Effect.gen(function* () {
      let leaving = yield* subscribe("a")
      yield* leaving.next
      for (let round = 0; round < 20; round++) {
        const [coming] = yield* Effect.all([subscribe("a"), leaving.cancel], { concurrency: round % 2 === 0 ? 1 : 2 })
        assert.deepStrictEqual(yield* coming.next, Resync())
        yield* publish("a", String(round))
        assert.deepStrictEqual(yield* coming.next, message(String(round)))
        yield* coming.cancel
        leaving = yield* subscribe("a")
        yield* leaving.next
      }
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("gives no Resync while its heartbeats arrive", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")
      yield* subscription.next
      yield* Effect.replicateEffect(sent("select pg_notify"), 5)

      yield* publish("a", "1")

      assert.deepStrictEqual(yield* subscription.next, message("1"))
    }).pipe(Effect.provide(pubsub({ heartbeatInterval: "5 millis" })))
  )

  it.effect("fails a subscription that the server rejects, and leaves nothing behind [PS-09]", () =>
    Effect.gen(function* () {
      const neighbour = yield* subscribe("a")
      yield* neighbour.next

      const error = yield* Effect.flip((yield* subscribe("")).next)

      assert.instanceOf(error, PubSubError)
      assert.deepStrictEqual([error.operation, error.channel], ["subscribe", ""])
      assert.strictEqual(yield* count(PubSubMetrics.subscribes.failed), 1)
      assert.strictEqual(yield* level(PubSubMetrics.currentSubscribers), 1)
      assert.strictEqual(yield* level(PubSubMetrics.currentEvents), 1)
      yield* publish("a", "still here")
      assert.deepStrictEqual(yield* neighbour.next, message("still here"))
      assert.strictEqual(yield* count(PubSubMetrics.disconnections), 0)
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("rejects names of more than 63 bytes, and serves those of 63 [PS-09] [PS-11]", () =>
    Effect.gen(function* () {
      const longest = "€".repeat(21)
      const subscription = yield* subscribe(longest)
      yield* subscription.next
      yield* publish(longest, "1")
      assert.deepStrictEqual(yield* subscription.next, message("1"))

      const tooLong = yield* subscribe(`${longest}x`)
      assert.strictEqual((yield* Effect.flip(tooLong.next)).operation, "subscribe")
      assert.strictEqual((yield* Effect.flip(publish(`${longest}x`, "1"))).operation, "publish")
      assert.strictEqual(yield* count(PubSubMetrics.subscribes.failed), 1)
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("returns the error of a publication, and counts no bytes for it [PS-10]", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(publish("", "12345"))
      yield* publish("a", "€")

      assert.instanceOf(error, PubSubError)
      assert.strictEqual(error.operation, "publish")
      assert.deepInclude(error.cause, { reason: "the name of a channel has 1 to 63 bytes" })
      assert.strictEqual(yield* count(PubSubMetrics.publishes.failed), 1)
      assert.strictEqual(yield* count(PubSubMetrics.publishes.succeeded), 1)
      assert.strictEqual(yield* count(PubSubMetrics.publishedBytes), 3)
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("gives up a publication that finds no connection in time [PS-10]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const pg = yield* PgClient.make({ url, maxConnections: 1 })
      const make = (options?: PgPubSub.Options) => Effect.provideService(PgPubSub.make(options), PgClient.PgClient, pg)
      const [impatient, patient] = [yield* make({ publishTimeout: "50 millis" }), yield* make()]

      const error = yield* pg.withTransaction(Effect.flip(impatient.publish("a", "1")))
      yield* patient.publish("a", "2")

      assert.strictEqual(error.operation, "publish")
      assert.strictEqual(yield* count(PubSubMetrics.publishes.failed), 1)
    }).pipe(Effect.provide(Reactivity.layer), isolated)
  )

  it.effect("gives up a publication on a connection that hangs, and makes the next one [PS-10]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const pg = yield* PgClient.make({ url: proxy.url, maxConnections: 1 })
      const pubsub = yield* Effect.provideService(PgPubSub.make({ publishTimeout: "1 second" }), PgClient.PgClient, pg)
      yield* pubsub.publish("a", "1")
      yield* proxy.freeze

      assert.instanceOf(yield* Effect.flip(pubsub.publish("a", "2")), PubSubError)
      yield* pubsub.publish("a", "3")
    }).pipe(Effect.provide([PgProxy.layer, Reactivity.layer]))
  )

  it.effect("publishes 7 999 bytes and fails for 8 000 [PS-10]", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")
      yield* subscription.next

      assert.instanceOf(yield* Effect.flip(publish("a", "x".repeat(8_000))), PubSubError)
      yield* publish("a", "x".repeat(7_999))

      assert.deepStrictEqual(yield* subscription.next, message("x".repeat(7_999)))
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("takes any text for the name of a channel [PS-11]", () =>
    Effect.gen(function* () {
      const names = [`"`, `a"b""c`, "a:b.c", "it's", `"; DROP TABLE t; --`, "Upper Case", "back\\slash", "größe 😀"]
      for (const name of names) {
        const subscription = yield* subscribe(name)
        yield* subscription.next
        yield* publish(name, name)
        assert.deepStrictEqual(yield* subscription.next, message(name))
      }
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("counts messages of 7 600 bytes as colossal, smaller ones as normal [PS-12]", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")
      yield* subscription.next

      yield* publish("a", "x".repeat(7_599))
      yield* publish("a", "x".repeat(7_600))
      yield* publish("a", "é".repeat(3_800))
      yield* subscription.take(3)

      assert.strictEqual(yield* count(PubSubMetrics.messages.normal), 1)
      assert.strictEqual(yield* count(PubSubMetrics.messages.colossal), 2)
      assert.strictEqual(yield* count(PubSubMetrics.receivedBytes), 7_599 + 2 * 7_600)
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("shows every counter before there is anything to count [PS-10] [PS-12] [PS-14]", () =>
    Effect.gen(function* () {
      const shown = (yield* PrometheusMetrics.format()).split("\n").filter((line) => /^[^#]/.test(line))

      assert.sameMembers(shown, [
        'coder_pubsub_publishes_total{success="true"} 0',
        'coder_pubsub_publishes_total{success="false"} 0',
        'coder_pubsub_subscribes_total{success="true"} 0',
        'coder_pubsub_subscribes_total{success="false"} 0',
        'coder_pubsub_messages_total{size="normal"} 0',
        'coder_pubsub_messages_total{size="colossal"} 0',
        "coder_pubsub_published_bytes_total 0",
        "coder_pubsub_received_bytes_total 0",
        "coder_pubsub_disconnections_total 0",
        "coder_pubsub_connected 1",
        "coder_pubsub_current_subscribers 0",
        "coder_pubsub_current_events 0"
      ])
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("shows how many subscribers there are, and on how many channels [PS-13]", () =>
    Effect.gen(function* () {
      const levels = Effect.all([level(PubSubMetrics.currentSubscribers), level(PubSubMetrics.currentEvents)])
      const [first, second, third] = yield* Effect.all([subscribe("a"), subscribe("a"), subscribe("b")])
      for (const subscription of [first, second, third]) yield* subscription.next
      assert.deepStrictEqual(yield* levels, [3, 2])
      assert.strictEqual(yield* count(PubSubMetrics.subscribes.succeeded), 3)

      yield* first.cancel
      assert.deepStrictEqual(yield* levels, [2, 2])
      yield* second.cancel
      assert.deepStrictEqual(yield* levels, [1, 1])
      yield* third.cancel
      assert.deepStrictEqual(yield* levels, [0, 0])
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("adds up the gauges of several pubsubs [PS-13] [PS-14]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const other = yield* Scope.provide(PgPubSub.make(), scope)
      yield* (yield* subscribe("a")).next
      yield* (yield* Effect.provideService(subscribe("a"), PubSub, other)).next

      assert.strictEqual(yield* level(PubSubMetrics.connected), 2)
      assert.strictEqual(yield* level(PubSubMetrics.currentSubscribers), 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* level(PubSubMetrics.connected), 1)
    }).pipe(Effect.provide(pubsub()), isolated)
  )

  it.effect("publishes at once, also inside a transaction that is rolled back", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const subscription = yield* subscribe("a")
      yield* subscription.next

      yield* publish("a", "1").pipe(Effect.andThen(Effect.fail("rolled back")), sql.withTransaction, Effect.ignore)

      assert.deepStrictEqual(yield* subscription.next, message("1"))
    }).pipe(Effect.provide(pubsub()))
  )

  it.effect("has a span for each publication, and one for the statement of several", () => {
    const { names, tracer } = recordSpans()
    return publish("a", "1").pipe(
      Effect.withTracer(tracer),
      Effect.andThen(Effect.sync(() => assert.includeMembers([...names], ["PubSub.publish", "PubSub.notify"]))),
      Effect.provide(pubsub())
    )
  })

  it.effect("listens with a connection of its own settings, by a name that the server shows", () =>
    Effect.gen(function* () {
      const { name, url } = yield* Postgres.TestDatabase
      const { hostname: host, password, port, username } = new URL(Redacted.value(url))
      const sql = yield* SqlClient.SqlClient
      const names = Effect.map(
        sql<{ readonly name: string }>`
          SELECT application_name AS name FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE '%listener' ORDER BY name`,
        (rows) => rows.map(({ name }) => name)
      )
      const pg = yield* PgClient.make({ url: Redacted.make("postgresql://127.0.0.1:1/none"), maxConnections: 1 })

      yield* PgPubSub.make()
      const listenConnection = { host, port: Number(port), database: name, username, password: Redacted.make(password) }
      const elsewhere = yield* Effect.provideService(PgPubSub.make({ listenConnection }), PgClient.PgClient, pg)
      const subscription = yield* Effect.provideService(subscribe("a"), PubSub, elsewhere)
      assert.deepStrictEqual(yield* subscription.next, Resync())
      yield* sql`SELECT pg_notify('a', '1')`

      assert.deepStrictEqual(yield* subscription.next, message("1"))
      // that of a test before this one may be about to end
      const shown = yield* Effect.repeat(names, { until: (all) => all.length === 2 })
      assert.deepStrictEqual(shown, ["metadata-batcher listener", "test listener"])
    }).pipe(Effect.provide(Reactivity.layer))
  )

  it.effect("takes measurable time to send and to receive [PS-20]", () =>
    Effect.gen(function* () {
      const { measure } = yield* PubSubLatency.make()

      const latency = yield* measure

      assert.isAbove(Duration.toMillis(latency.send), 0)
      assert.isAbove(Duration.toMillis(latency.receive), 0)
    }).pipe(Effect.provide(pubsub()))
  )
})
