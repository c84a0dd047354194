/** The routes of watches over a store and a subscription that the test controls. */
import { NodeCrypto } from "@effect/platform-node"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"

import { TestClock } from "effect/testing"

import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { make as makeStore, MetadataStore, MetadataStoreError } from "../../src/metadata/MetadataStore.ts"
import type { AgentMetadata } from "../../src/domain/Metadata.ts"
import { Directory } from "../../src/admin/Directory.ts"
import { AgentCatalog } from "../../src/dashboard/AgentCatalog.ts"
import { HistoryStore } from "../../src/operations/HistoryStore.ts"
import { Readiness } from "../../src/operations/Readiness.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"

import { LogReader } from "../../src/watch/LogReader.ts"
import * as AgentApi from "./agentApi.ts"
import * as Fake from "./accessStore.ts"
import { identity } from "./identity.ts"

import { makeLogger, readerOf } from "./logWatch.ts"
import { agent } from "./metadataBatcher.ts"
import * as Service from "./service.ts"
import * as Tailnet from "./tailnet.ts"

export const owner = Fake.user(1)
export const token = Fake.token("of user 1")
/** The token of the agent that is watched. */
export const agentToken = Fake.token("of agent 1")

export const metadata = (key: string, value: string): AgentMetadata => ({
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

export const unavailable = Effect.fail(
  new MetadataStoreError({ operation: "read metadata", reason: "unavailable", cause: new Error("no route") })
)

/** The dependencies of watches, and the services of a server over them; `more` stands in for some of them. */
const serve = Effect.fnUntraced(function* <A, E, R>(
  more: Layer.Layer<A, E, R>,
  environment?: Readonly<Record<string, string>>
) {
  const left = yield* Queue.unbounded<void>()
  const users = [[token, owner] as const]
  const agents = [[agentToken, identity(agent(1))] as const]
  const world = {
    /** The lines of agent 1, of which there are none, and its lifecycle. */
    logger: makeLogger(),
    rows: [metadata("cpu", "1")] as ReadonlyArray<AgentMetadata>,
    reads: 0,
    reading: Effect.void as Effect.Effect<void, MetadataStoreError>,
    subscribing: Stream.empty as Stream.Stream<never, PubSub.PubSubError>,
    subscribed: 0,
    /** Waits for the end of a subscription. */
    left: Queue.take(left),
    forgetTokens: () => {
      users.length = 0
      agents.length = 0
    }
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
    Fake.layer({ users, agents, owners: [[agent(1), owner.id]] }),
    Layer.mock(Directory)({}),
    Layer.mock(AgentCatalog)({}),
    AgentApi.layerPorts,
    Layer.succeed(LogReader, readerOf(world.logger)),
    Tailnet.layerPorts,
    Layer.succeed(Readiness, { problem: Effect.undefined }),
    Layer.succeed(HistoryStore, { add: () => Effect.void, read: () => Effect.succeed([]) }),
    NodeCrypto.layer,
    more
  )
  const scope = yield* Scope.make()
  const services = yield* Layer.buildWithScope(
    Service.layerOver(() => ports, environment),
    scope
  )
  // the server may wait for connections to end, by the test clock
  const stop = Effect.flatMap(Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }), (closing) =>
    Effect.andThen(TestClock.adjust("1 second"), Fiber.join(closing))
  )
  yield* Effect.addFinalizer(() => stop)
  return { world, services, stop }
})

type World = Effect.Success<ReturnType<typeof serve>>["world"]

/** The test of a behaviour behind real routes, over other ports where the test has them. */
export const behindWith =
  <P, PE, PR>(more: Layer.Layer<P, PE, PR>, environment?: Readonly<Record<string, string>>) =>
  <A, E, R>(body: (world: World, stop: Effect.Effect<void>) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(serve(more, environment), ({ services, stop, world }) =>
      Effect.provideContext(body(world, stop), services)
    )

export const behind = behindWith(Layer.empty)

export const announce = PubSub.PubSub.use(({ publish }) =>
  publish(MetadataBatcher.channel, AgentIdChunks.encode([agent(1)]).join(""))
)

export const change = (world: World, value: string) =>
  Effect.suspend(() => {
    world.rows = [metadata("cpu", value)]
    return announce
  })
