/**
 * Carries announcements between replicas: each named channel sends short texts to its current subscribers.
 *
 * - Delivery is at most once.
 * - No loss is silent: a subscription begins with a {@link Event Resync}, and gets another one when messages may be
 *   missing (a queue overflowed, a connection broke).
 * - Therefore a subscriber misses nothing if it reads the current state on each `Resync`, and on each `Message` the
 *   state that the message names.
 *
 * @example
 * ```ts
 * import { Console, Effect, Fiber, Stream } from "effect"
 * import { PubSub } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   const { publish, subscribe } = yield* PubSub.PubSub
 *   const events = yield* subscribe("news").pipe(
 *     Stream.take(2),
 *     Stream.runCollect,
 *     Effect.forkChild({ startImmediately: true })
 *   )
 *   yield* publish("news", "hello")
 *   for (const event of yield* Fiber.join(events)) {
 *     yield* Console.log(PubSub.match(event, { Message: ({ payload }) => payload, Resync: () => "read the state" }))
 *   }
 * })
 * await Effect.runPromise(Effect.provide(program, PubSub.layerMemory))
 * // Output:
 * // read the state
 * // hello
 * ```
 */
import { Context, Effect, Layer, Stream } from "effect"
import * as Subscribers from "./internal/subscribers.ts"
import { type Event, is, type PubSubError } from "./PubSubEvent.ts"

export * from "./PubSubEvent.ts"

/** The pubsub as a service. */
export class PubSub extends Context.Service<
  PubSub,
  {
    /** Sends `payload` to the current subscribers of `channel`. */
    readonly publish: (channel: string, payload: string) => Effect.Effect<void, PubSubError>
    /**
     * Returns the messages of a channel, in the order of publication. The first event is a `Resync`, which means that
     * the channel is subscribed. The subscription ends with the stream.
     *
     * A busy subscriber has up to 2 048 pending messages; one `Resync` replaces all further ones.
     */
    readonly subscribe: (channel: string) => Stream.Stream<Event, PubSubError>
    /** Whether the connection for subscriptions is lost and being replaced. Absent in a pubsub without a connection. */
    readonly reconnecting?: Effect.Effect<boolean> | undefined
  }
>()("metadata-batcher/pubsub/PubSub") {}

/**
 * Returns only the payloads of a channel, for a subscriber without a state to read again. Lost messages go unnoticed.
 */
export const messages = (channel: string): Stream.Stream<string, PubSubError, PubSub> =>
  PubSub.useSync((pubsub) => pubsub.subscribe(channel)).pipe(
    Stream.unwrap,
    Stream.filter(is("Message")),
    Stream.map((message) => message.payload)
  )

/**
 * Provides a pubsub within this process. `publish` returns when all subscribers have the message, even busy ones.
 * Neither operation fails, and names and payloads have no limits.
 */
export const layerMemory: Layer.Layer<PubSub> = Layer.sync(PubSub, () => {
  const subscribers = Subscribers.make({ initialState: "subscribed" })
  return {
    publish: (channel, payload) => Effect.sync(() => subscribers.deliver(channel, payload)),
    subscribe: (channel) => Stream.unwrap(Effect.map(subscribers.join(channel), Stream.fromQueue))
  }
})
