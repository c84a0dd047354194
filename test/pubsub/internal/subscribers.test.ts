import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Queue, Scope } from "effect"
import * as Subscribers from "../../../src/pubsub/internal/subscribers.ts"
import { Message, PubSubError, Resync } from "../../../src/pubsub/PubSub.ts"

const payloads = (n: number) => Array.from({ length: n }, (_, i) => String(i))

const refused = new PubSubError({ operation: "subscribe", channel: "a", cause: "no" })

describe("subscribers", () => {
  it.effect("counts messages against the capacity, and not the Resync before them [PS-01]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "subscribed" })
      const queue = yield* subscribers.join("a")

      for (const payload of payloads(Subscribers.capacity)) subscribers.deliver("a", payload)

      const held = yield* Queue.takeAll(queue)
      assert.deepStrictEqual(held, [Resync(), ...payloads(2_048).map((payload) => Message({ payload }))])
    })
  )

  it.effect("adds no Resync to one that is still the last event held [PS-02]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "subscribed" })
      const queue = yield* subscribers.join("a")

      for (const payload of payloads(Subscribers.capacity + 10)) subscribers.deliver("a", payload)
      subscribers.setState("a", "subscribed")

      const held = yield* Queue.takeAll(queue)
      assert.strictEqual(held.length, 1 + Subscribers.capacity + 1)
      assert.deepStrictEqual(held.at(-1), Resync())
    })
  )

  it.effect("gives every subscriber of a channel one Resync when it is subscribed again [PS-06]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "pending" })
      const first = yield* subscribers.join("a")
      const second = yield* subscribers.join("a")
      const elsewhere = yield* subscribers.join("b")

      subscribers.setState("a", "subscribed")
      subscribers.deliver("a", "1")
      subscribers.setState("a", "pending")
      subscribers.setState("a", "subscribed")

      for (const queue of [first, second]) {
        assert.deepStrictEqual(yield* Queue.takeAll(queue), [Resync(), Message({ payload: "1" }), Resync()])
      }
      assert.strictEqual(yield* Queue.size(elsewhere), 0)
    })
  )

  it.effect("gives a Resync on demand to the subscribers of subscribed channels alone [PS-06]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "pending" })
      const [subscribed, pending, failed] = [
        yield* subscribers.join("a"),
        yield* subscribers.join("b"),
        yield* subscribers.join("c")
      ]
      subscribers.setState("a", "subscribed")
      subscribers.setState("c", refused)
      yield* Queue.takeAll(subscribed)
      subscribers.deliver("a", "1")

      subscribers.resync()

      assert.deepStrictEqual(yield* Queue.takeAll(subscribed), [Message({ payload: "1" }), Resync()])
      assert.strictEqual(yield* Queue.size(pending), 0)
      assert.strictEqual(yield* Effect.flip(Queue.take(failed)), refused)
    })
  )

  it.effect("lets a subscriber of a subscribed channel begin at once, and one of a pending channel wait", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "pending" })
      const first = yield* subscribers.join("a")
      assert.strictEqual(yield* Queue.size(first), 0)

      subscribers.setState("a", "subscribed")
      const second = yield* subscribers.join("a")

      assert.deepStrictEqual(yield* Queue.takeAll(second), [Resync()])
    })
  )

  it("ignores messages and states of a channel that nobody is subscribed to", () => {
    const subscribers = Subscribers.make({ initialState: "pending" })

    subscribers.deliver("a", "1")
    subscribers.setState("a", "subscribed")
    subscribers.resync()

    assert.deepStrictEqual([subscribers.channels(), subscribers.has("a")], [[], false])
  })

  it.effect("discards what it holds for a subscriber that leaves [PS-18]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "subscribed" })
      const scope = yield* Scope.make()
      const queue = yield* Scope.provide(subscribers.join("a"), scope)
      subscribers.deliver("a", "1")

      yield* Scope.close(scope, Exit.void)
      subscribers.deliver("a", "2")

      assert.strictEqual(yield* Queue.size(queue), 0)
    })
  )

  it.effect("fails every subscriber of a rejected channel, until the last of them has left [PS-09]", () =>
    Effect.gen(function* () {
      const subscribers = Subscribers.make({ initialState: "pending" })
      const scope = yield* Scope.make()
      const waiting = yield* Scope.provide(subscribers.join("a"), scope)

      subscribers.setState("a", refused)
      const late = yield* Scope.provide(subscribers.join("a"), scope)

      assert.strictEqual(yield* Effect.flip(Queue.take(waiting)), refused)
      assert.strictEqual(yield* Effect.flip(Queue.take(late)), refused)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(subscribers.has("a"))
    })
  )

  it.effect("reports the first subscriber of a channel and the leaving of the last [PS-07] [PS-08]", () =>
    Effect.gen(function* () {
      const demand: Array<[string, number]> = []
      const subscribers = Subscribers.make({
        initialState: "subscribed",
        onDemand: (channel, change) => Effect.sync(() => demand.push([channel, change]))
      })

      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.scoped(Effect.andThen(subscribers.join("a"), subscribers.join("a")))
          yield* subscribers.join("b")
          assert.deepStrictEqual(subscribers.channels(), ["b"])
        })
      )

      assert.deepStrictEqual(demand, [
        ["a", 1],
        ["a", -1],
        ["b", 1],
        ["b", -1]
      ])
    })
  )
})
