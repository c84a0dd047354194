/** A watcher of agent 1 over a store and a subscription that the test controls. */
import { Context, DateTime, Duration, Effect, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import type { AgentMetadata } from "../../src/domain/Metadata.ts"
import type { MetadataView } from "../../src/domain/MetadataView.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as MetadataWatch from "../../src/watch/MetadataWatch.ts"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"
import { agent } from "./metadataBatcher.ts"

export const metadata = (key: string, value: string, rest: Partial<AgentMetadata> = {}): AgentMetadata => ({
  displayName: key.toUpperCase(),
  key,
  script: `measure ${key}`,
  interval: Duration.seconds(10),
  timeout: Duration.seconds(2),
  displayOrder: 0,
  value,
  error: "",
  collectedAt: DateTime.makeUnsafe(0),
  ...rest
})

export const failing = (reason: "unavailable" | "cancelled") =>
  Effect.fail(
    new MetadataStore.MetadataStoreError({
      operation: "read metadata",
      reason,
      cause: new Error("as the test wants it")
    })
  )

/** The dependencies of a watcher. */
export const makeWorld = Effect.gen(function* () {
  const events = yield* Queue.unbounded<PubSub.Event, PubSub.PubSubError>()
  const world = {
    rows: [metadata("cpu", "1")] as ReadonlyArray<AgentMetadata>,
    reads: 0,
    reading: Effect.void as Effect.Effect<void, MetadataStore.MetadataStoreError>,
    subscribed: 0,
    channels: [] as Array<string>,
    offer: (event: PubSub.Event) => Effect.andThen(Queue.offer(events, event), TestClock.adjust(0)),
    announce: (payload: string) => world.offer(PubSub.Message({ payload })),
    fail: Queue.fail(events, new PubSub.PubSubError({ operation: "subscribe", channel: "any", cause: "refused" })),
    end: Queue.shutdown(events)
  }
  const layer = MetadataWatch.layer.pipe(
    Layer.provide([
      Layer.succeed(PubSub.PubSub, {
        publish: () => Effect.void,
        subscribe: (channel) =>
          Stream.fromQueue(events).pipe(
            Stream.onStart(
              Effect.sync(() => {
                world.subscribed++
                world.channels.push(channel)
              })
            ),
            Stream.ensuring(Effect.sync(() => world.subscribed--))
          )
      }),
      Layer.succeed(
        MetadataStore.MetadataStore,
        MetadataStore.make({
          updateBatch: () => Effect.succeed([]),
          read: () =>
            Effect.suspend(() => {
              world.reads++
              return Effect.as(world.reading, world.rows)
            })
        })
      )
    ])
  )
  const { open, read } = Context.get(yield* Layer.build(layer), MetadataWatch.MetadataWatch)
  return { ...world, world, open: open(agent(1)), read: read(agent(1)) }
})

type World = Effect.Success<typeof makeWorld>["world"]

/** A watcher that has its first event. */
export const watch = Effect.gen(function* () {
  const { open, world } = yield* makeWorld
  const events: Array<WatchEvent> = []
  const fiber = yield* open.pipe(
    Effect.flatMap(Stream.runForEach((event) => Effect.sync(() => events.push(event)))),
    Effect.scoped,
    Effect.forkScoped({ startImmediately: true })
  )
  yield* world.offer(PubSub.Resync())
  return { world, events, fiber }
})

export const chunk = (...agents: ReadonlyArray<number>) => AgentIdChunks.encode(agents.map(agent)).join("")

export const values = (event: WatchEvent | undefined) => (event?.type === "data" ? valuesOf(event.data) : event)

export const valuesOf = (list: ReadonlyArray<MetadataView>): Readonly<Record<string, string>> =>
  Object.fromEntries(list.map(({ description, result }) => [description.key, result.value]))

export const seconds = (count: number) => TestClock.adjust(Duration.seconds(count))

export const change = (world: World, value: string) => {
  world.rows = [metadata("cpu", value)]
  return world.announce(chunk(1))
}
