import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { layerMemory, Message, messages, PubSub, Resync } from "../../src/pubsub/PubSub.ts"
import { subscribe } from "../support/Subscription.ts"

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

const asMessages = (payloads: ReadonlyArray<string>) => payloads.map((payload) => Message({ payload }))

const publishAll = (channel: string, payloads: ReadonlyArray<string>) =>
  PubSub.use((pubsub) => Effect.forEach(payloads, (payload) => pubsub.publish(channel, payload), { discard: true }))

/** A subscriber that is busy with the first it gets until it is released. */
const busySubscriber = Effect.fnUntraced(function* <A, E>(stream: Stream.Stream<A, E, PubSub>) {
  const seen = yield* Queue.unbounded<A>()
  const busy = yield* Latch.make()
  const released = yield* Latch.make()
  const fiber = yield* stream.pipe(
    Stream.tap(() => Effect.andThen(busy.open, released.await)),
    Stream.runForEach((element) => Queue.offer(seen, element)),
    Effect.forkScoped({ startImmediately: true })
  )
  return { seen, busy, released, fiber }
})

/** The same for the events of a channel, busy with the `Resync` it begins with. */
const busyOn = Effect.fnUntraced(function* (channel: string) {
  const subscriber = yield* busySubscriber(PubSub.useSync((pubsub) => pubsub.subscribe(channel)).pipe(Stream.unwrap))
  yield* subscriber.busy.await
  return subscriber
})

const settle = TestClock.adjust(0)

describe("PubSub", () => {
  it.effect("begins a subscription with a Resync", () =>
    Effect.gen(function* () {
      const subscription = yield* subscribe("a")

      assert.deepStrictEqual(yield* subscription.next, Resync())
      yield* settle
      assert.deepStrictEqual(yield* subscription.received, [])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("holds 2 048 messages for a busy subscriber without loss [PS-01]", () =>
    Effect.gen(function* () {
      const { released, seen } = yield* busyOn("a")

      yield* publishAll("a", numbers(1, 2_048))
      yield* released.open

      assert.deepStrictEqual(yield* Queue.takeN(seen, 2_049), [Resync(), ...asMessages(numbers(1, 2_048))])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("discards the 2 049th message and puts one Resync in its place, behind the others [PS-02]", () =>
    Effect.gen(function* () {
      const { released, seen } = yield* busyOn("a")

      yield* publishAll("a", numbers(1, 2_060))
      yield* released.open
      const held = yield* Queue.takeN(seen, 2_050)
      yield* publishAll("a", ["next"])

      assert.deepStrictEqual(held, [Resync(), ...asMessages(numbers(1, 2_048)), Resync()])
      assert.deepStrictEqual(yield* Queue.take(seen), Message({ payload: "next" }))
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("gives a subscriber one Resync for each overflow [PS-02]", () =>
    Effect.gen(function* () {
      const { released, seen } = yield* busyOn("a")

      yield* publishAll("a", numbers(1, 2_049))
      yield* released.open
      yield* Queue.takeN(seen, 2_050)
      yield* released.close
      yield* publishAll("a", ["taken"])
      yield* settle
      yield* publishAll("a", numbers(1, 2_049))
      yield* released.open

      const second = yield* Queue.takeN(seen, 2_050)
      assert.deepStrictEqual(second, [...asMessages(["taken", ...numbers(1, 2_048)]), Resync()])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("leaves Resyncs out of a stream of messages [PS-03]", () =>
    Effect.gen(function* () {
      const { busy, released, seen } = yield* busySubscriber(messages("a"))

      yield* publishAll("a", ["0"])
      yield* busy.await
      yield* publishAll("a", numbers(1, 2_049))
      yield* released.open
      const held = yield* Queue.takeN(seen, 2_049)
      yield* publishAll("a", ["next"])

      assert.deepStrictEqual(held, numbers(0, 2_048))
      assert.strictEqual(yield* Queue.take(seen), "next")
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("delivers in the order of publication, one at a time [PS-04]", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub
      const log: Array<string> = []
      yield* pubsub.subscribe("a").pipe(
        Stream.filter((event) => event._tag === "Message"),
        Stream.runForEach(({ payload }) =>
          Effect.gen(function* () {
            log.push(`begin ${payload}`)
            yield* Effect.sleep("1 second")
            log.push(`end ${payload}`)
          })
        ),
        Effect.forkScoped
      )
      yield* settle

      yield* publishAll("a", numbers(1, 3))
      yield* TestClock.adjust("3 seconds")

      assert.deepStrictEqual(
        log,
        numbers(1, 3).flatMap((payload) => [`begin ${payload}`, `end ${payload}`])
      )
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("does not let a blocked subscriber delay the publisher or the others [PS-05]", () =>
    Effect.gen(function* () {
      const { seen } = yield* busyOn("a")
      const other = yield* subscribe("a")
      yield* other.next

      for (const payload of numbers(1, 3_000)) {
        yield* publishAll("a", [payload])
        assert.deepStrictEqual(yield* other.next, Message({ payload }))
      }

      assert.deepStrictEqual(yield* Queue.clear(seen), [])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("discards what a subscriber still held when it ends [PS-18]", () =>
    Effect.gen(function* () {
      const { fiber, released, seen } = yield* busyOn("a")
      yield* publishAll("a", numbers(1, 10))

      yield* Fiber.interrupt(fiber)
      yield* released.open
      yield* publishAll("a", ["late"])
      yield* settle

      assert.deepStrictEqual(yield* Queue.clear(seen), [])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("delivers no more than the message at which a subscriber ends its stream [PS-18]", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub
      const fiber = yield* pubsub.subscribe("a").pipe(Stream.take(3), Stream.runCollect, Effect.forkChild)
      yield* settle

      yield* publishAll("a", numbers(1, 10))

      assert.deepStrictEqual(yield* Fiber.join(fiber), [Resync(), ...asMessages(["1", "2"])])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("reaches all subscribers of a channel, and those only [PS-19]", () =>
    Effect.gen(function* () {
      const first = yield* subscribe("a")
      const second = yield* subscribe("a")
      const stranger = yield* subscribe("b")
      yield* settle

      yield* publishAll("a", ["x"])
      yield* settle
      const late = yield* subscribe("a")
      yield* settle

      assert.deepStrictEqual(yield* first.received, [Resync(), Message({ payload: "x" })])
      assert.deepStrictEqual(yield* second.received, [Resync(), Message({ payload: "x" })])
      assert.deepStrictEqual(yield* stranger.received, [Resync()])
      assert.deepStrictEqual(yield* late.received, [Resync()])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("takes a subscriber back after all have left [PS-19]", () =>
    Effect.gen(function* () {
      const first = yield* subscribe("a")
      yield* first.next
      yield* first.cancel
      yield* publishAll("a", ["unheard"])

      const second = yield* subscribe("a")
      yield* second.next
      yield* publishAll("a", ["heard"])

      assert.deepStrictEqual(yield* second.next, Message({ payload: "heard" }))
    }).pipe(Effect.provide(layerMemory))
  )
})
