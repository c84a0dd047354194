/**
 * A subscription whose events a test takes one by one.
 */
import { Effect, Fiber, Queue, Stream } from "effect"
import { type Event, is, PubSub, type PubSubError } from "../../src/pubsub/PubSub.ts"

export interface Subscription {
  /** The next event; fails when the subscription has failed. */
  readonly next: Effect.Effect<Event, PubSubError>
  /** The next message; a loss before it may be marked more than once. */
  readonly nextMessage: Effect.Effect<Event, PubSubError>
  /** The next `n` events. */
  readonly take: (n: number) => Effect.Effect<ReadonlyArray<Event>, PubSubError>
  /** The events that are here already. */
  readonly received: Effect.Effect<ReadonlyArray<Event>, PubSubError>
  /** Ends the subscription as a subscriber does that has lost interest. */
  readonly cancel: Effect.Effect<void>
}

/** Subscribes to `channel`. The first event says that the subscription is active. */
export const subscribe = Effect.fnUntraced(function* (channel: string) {
  const pubsub = yield* PubSub
  const events = yield* Queue.unbounded<Event, PubSubError>()
  const fiber = yield* pubsub.subscribe(channel).pipe(
    Stream.runForEach((event) => Queue.offer(events, event)),
    Effect.onError((cause) => Queue.failCause(events, cause)),
    Effect.forkScoped
  )
  const next = Queue.take(events)
  const subscription: Subscription = {
    next,
    nextMessage: Effect.repeat(next, { until: is("Message") }),
    take: (n) => Queue.takeN(events, n),
    received: Queue.clear(events),
    cancel: Fiber.interrupt(fiber)
  }
  return subscription
})
