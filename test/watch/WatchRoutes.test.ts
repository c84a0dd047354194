/** Both ways to watch an agent, over real connections and under the test clock, with a store that the test controls. */
import { NodeCrypto } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { make as makeStore, MetadataStore, MetadataStoreError } from "../../src/metadata/MetadataStore.ts"
import type { AgentMetadata } from "../../src/domain/Metadata.ts"
import { Directory } from "../../src/admin/Directory.ts"
import { AgentCatalog } from "../../src/dashboard/AgentCatalog.ts"
import { Readiness } from "../../src/operations/Readiness.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import type { WatchEvent } from "../../src/watch/WatchApi.ts"
import * as AgentApi from "../support/agentApi.ts"
import * as Fake from "../support/accessStore.ts"
import { showing } from "../support/directory.ts"
import { agent } from "../support/metadataBatcher.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"
import * as WebSocket from "../support/webSocket.ts"

const owner = Fake.user(1)
const token = Fake.token("of user 1")

const metadata = (key: string, value: string): AgentMetadata => ({
  displayName: key,
  key,
  script: "",
  interval: Duration.seconds(10),
  timeout: Duration.seconds(2),
  displayOrder: 0,
  value,
  error: "",
  collectedAt: DateTime.makeUnsafe(0)
})

const unavailable = Effect.fail(
  new MetadataStoreError({ operation: "read metadata", reason: "unavailable", cause: new Error("no route") })
)

/** What watches depend on, and the services of a server over it. */
const serve = Effect.gen(function* () {
  const left = yield* Queue.unbounded<void>()
  const world = {
    rows: [metadata("cpu", "1")] as ReadonlyArray<AgentMetadata>,
    reads: 0,
    reading: Effect.void as Effect.Effect<void, MetadataStoreError>,
    subscribing: Stream.empty as Stream.Stream<never, PubSub.PubSubError>,
    subscribed: 0,
    /** Waits for the end of a subscription. */
    left: Queue.take(left)
  }
  const store = Layer.succeed(
    MetadataStore,
    makeStore({
      updateBatch: () => Effect.succeed([]),
      read: () =>
        Effect.suspend(() => {
          world.reads++
          return Effect.map(world.reading, () => world.rows)
        })
    })
  )
  const pubsub = Layer.effect(
    PubSub.PubSub,
    PubSub.PubSub.useSync(({ publish, subscribe }) => ({
      publish,
      subscribe: (channel) =>
        channel === MetadataBatcher.channel
          ? Stream.suspend(() => {
              world.subscribed++
              return Stream.concat(world.subscribing, subscribe(channel))
            }).pipe(
              Stream.ensuring(
                Effect.suspend(() => {
                  world.subscribed--
                  return Queue.offer(left, undefined)
                })
              )
            )
          : subscribe(channel)
    }))
  ).pipe(Layer.provide(PubSub.layerMemory))
  const ports = Layer.mergeAll(
    store,
    pubsub,
    Fake.layer({ users: [[token, owner]], owners: [[agent(1), owner.id]] }),
    Layer.mock(Directory)({}),
    Layer.mock(AgentCatalog)({}),
    AgentApi.layerPorts,
    Layer.succeed(Readiness, { problem: Effect.undefined }),
    NodeCrypto.layer
  )
  const scope = yield* Scope.make()
  const services = yield* Layer.buildWithScope(
    Service.layerOver(() => ports),
    scope
  )
  // the server may wait for connections to end, by the test clock
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }), (closing) =>
      Effect.andThen(TestClock.adjust("1 second"), Fiber.join(closing))
    )
  )
  return { world, services }
})

type World = Effect.Success<typeof serve>["world"]

/** The test of a behaviour behind real routes. */
const behind = <A, E, R>(body: (world: World) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(serve, ({ services, world }) => Effect.provideContext(body(world), services))

const announce = PubSub.PubSub.use(({ publish }) =>
  publish(MetadataBatcher.channel, AgentIdChunks.encode([agent(1)]).join(""))
)

const change = (world: World, value: string) =>
  Effect.suspend(() => {
    world.rows = [metadata("cpu", value)]
    return announce
  })

const seconds = (count: number) => Effect.replicateEffect(TestClock.adjust("1 second"), count)

const values = (event: WatchEvent) =>
  event.type === "data"
    ? Object.fromEntries(event.data.map(({ description, result }) => [description.key, result.value]))
    : event

const ways: ReadonlyArray<readonly [way: string, watch: Watcher.Watch, row: string]> = [
  ["by server-sent events", Watcher.overEvents, "WA-01"],
  ["over a WebSocket", Watcher.overWebSocket, "WA-02"]
]

for (const [way, watch, row] of ways) {
  const open = watch(agent(1), showing(token))

  describe(`watching ${way}`, () => {
    it.effect(`brings the list at once, and a change with the next second [${row}, WA-04]`, () =>
      behind((world) =>
        Effect.gen(function* () {
          const { next } = yield* open
          assert.deepStrictEqual(values(yield* next), { cpu: "1" })

          yield* change(world, "2")
          yield* seconds(1)
          assert.deepStrictEqual(values(yield* next), { cpu: "2" })

          yield* change(world, "3")
          yield* seconds(1)
          assert.deepStrictEqual(values(yield* next), { cpu: "3" })
        })
      )
    )

    it.effect(`is answered with 500 and nothing else when the first read fails [${row}, WA-05]`, () =>
      behind((world) =>
        Effect.gen(function* () {
          world.reading = unavailable

          const { body, headers, status } = yield* Effect.flip(open)

          assert.strictEqual(status, 500)
          assert.strictEqual(headers["content-type"], "application/json")
          assert.deepStrictEqual(JSON.parse(body), {
            _tag: "MetadataUnavailable",
            message: "metadata cannot be read",
            detail: "cannot read metadata"
          })
          yield* world.left
          assert.strictEqual(world.subscribed, 0)
        })
      )
    )

    it.effect(`is answered with 500 and nothing else when it cannot subscribe [${row}, WA-06]`, () =>
      behind((world) =>
        Effect.gen(function* () {
          const error = new PubSub.PubSubError({ operation: "subscribe", channel: "any", cause: "refused" })
          world.subscribing = Stream.fail(error)

          const { body, status } = yield* Effect.flip(open)

          assert.strictEqual(status, 500)
          assert.deepInclude(JSON.parse(body), { message: "metadata changes cannot be subscribed to" })
          assert.deepStrictEqual([world.subscribed, world.reads], [0, 0])
        })
      )
    )

    it.effect(`brings a ping every fifteen seconds [${row}, WA-22]`, () =>
      behind(() =>
        Effect.gen(function* () {
          const { next } = yield* open
          const types: Array<string> = []
          const take = Effect.map(next, ({ type }) => types.push(type))

          yield* take
          for (const pause of [1, 5, 5, 4, 1, 5, 5, 4]) {
            yield* seconds(pause)
            yield* take
          }

          assert.deepStrictEqual(types, ["data", "data", "data", "data", "ping", "data", "data", "data", "ping"])
        })
      )
    )

    it.effect(`is over after an error event when a later read fails [${row}, WA-15, WA-16]`, () =>
      behind((world) =>
        Effect.gen(function* () {
          const { next } = yield* open
          yield* next
          world.reading = unavailable
          yield* announce
          yield* seconds(1)

          assert.deepStrictEqual(yield* next, {
            type: "error",
            data: {
              message: "metadata cannot be read",
              detail: "cannot read metadata"
            }
          })
          assert.strictEqual((yield* Effect.flip(next))._tag, "Done")
          yield* world.left
        })
      )
    )

    it.effect(`unsubscribes when the client leaves [${row}, WA-17]`, () =>
      behind((world) =>
        Effect.gen(function* () {
          const [one, other] = [yield* open, yield* open]
          yield* Effect.all([one.next, other.next])
          assert.strictEqual(world.subscribed, 1)

          yield* one.leave
          yield* seconds(1)
          assert.strictEqual(world.subscribed, 1)

          yield* other.leave
          yield* world.left
          assert.strictEqual(world.subscribed, 0)
        })
      )
    )
  })
}

describe("reading metadata once", () => {
  it.effect("is answered with 500 when it cannot be read", () =>
    behind((world) =>
      Effect.gen(function* () {
        world.reading = unavailable

        const response = yield* HttpClient.get(Watcher.pathOf(agent(1), "metadata"), { headers: showing(token) })

        assert.strictEqual(response.status, 500)
        assert.deepInclude(yield* response.json, { message: "metadata cannot be read" })
      })
    )
  )
})

/** Lists so long that the network does not take many of them. */
const long = (text: string) => Array.from({ length: 100 }, (_, index) => metadata(`key-${index}`, text.repeat(65_000)))

const changeEverySecond = (count: number) =>
  Effect.replicateEffect(Effect.andThen(announce, TestClock.adjust("1 second")), count)

describe("a watcher that takes nothing", () => {
  it.effect("costs a few reads over a WebSocket, however much changes, and has the newest list in the end", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        world.rows = long("a")
        const address = `${url}${Watcher.pathOf(agent(1), "watch-metadata-ws")}`
        const { messages, tcp } = yield* WebSocket.connect(address, showing(token))
        yield* Queue.take(messages)
        tcp.pause()

        yield* changeEverySecond(30)
        assert.isBelow(world.reads, 10)

        world.rows = long("b")
        tcp.resume()
        const next = Effect.map(Queue.take(messages), (text) => text.includes('"value":"bbb'))
        yield* Effect.repeat(Effect.andThen(changeEverySecond(1), next), { until: (isNewest) => isNewest })
      })
    )
  )

  it.effect("costs a few reads by server-sent events, however much changes", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        world.rows = long("a")
        const address = `${url}${Watcher.pathOf(agent(1), "watch-metadata")}`
        yield* Effect.acquireRelease(
          Effect.callback<Http.IncomingMessage>((resume) => {
            Http.get(address, { headers: showing(token) }, (response) => resume(Effect.succeed(response.pause())))
          }),
          (response) => Effect.sync(() => response.destroy())
        )

        yield* changeEverySecond(30)

        assert.isBelow(world.reads, 10)
      })
    )
  )
})
