/** The suite of every pubsub, whatever carries its messages. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Exit, Latch, Queue, Scope, Stream } from "effect"
import { type Event, is, PubSub, PubSubError, Resync } from "../../src/pubsub/PubSub.ts"
import { subscribe } from "../support/Subscription.ts"
import { message } from "./support.ts"

export interface Backend<R> {
  /** Makes the pubsub of another replica. */
  readonly replica: Effect.Effect<PubSub["Service"], unknown, R | Scope.Scope>
  /** Whether there is a connection, and whether names and payloads have limits. */
  readonly isRemote: boolean
  /** Whether a replica that begins late to hear another one marks what it may have missed. */
  readonly marksLateness?: boolean
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

/** Adds the tests of the contract to a suite, each with replicas of its own. */
export const contract = <R>(it: Vitest.MethodsNonLive<R>, { isRemote, marksLateness = false, replica }: Backend<R>) => {
  const on = (pubsub: PubSub["Service"]) => Effect.provideService(PubSub, pubsub)

  it.effect("begins a subscription with one Resync [BK-01]", () =>
    Effect.gen(function* () {
      const here = yield* replica
      const subscription = yield* on(here)(subscribe("a"))
      assert.deepStrictEqual(yield* subscription.next, Resync())

      yield* here.publish("a", "1")

      assert.deepStrictEqual(yield* subscription.next, message("1"))
    })
  )

  it.effect("carries messages to the subscribers of all replicas, in the order of each publisher [PS-04]", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* replica, yield* replica]
      const subscriptions = [yield* on(here)(subscribe("a")), yield* on(there)(subscribe("a"))]
      for (const { next } of subscriptions) assert.deepStrictEqual(yield* next, Resync())

      const publishAll = (pubsub: PubSub["Service"], payloads: ReadonlyArray<string>) =>
        Effect.forEach(payloads, (payload) => pubsub.publish("a", payload), { discard: true })
      const ofHere = numbers(50).map((number) => `here ${number}`)
      const ofThere = numbers(50).map((number) => `there ${number}`)
      yield* Effect.all([publishAll(here, ofHere), publishAll(there, ofThere)], { concurrency: 2 })

      for (const { next, nextMessage } of subscriptions) {
        const received = yield* Effect.replicateEffect(marksLateness ? nextMessage : next, 100)
        const from = (name: string) =>
          received.filter((event) => event._tag === "Message" && event.payload.startsWith(name))
        assert.deepStrictEqual(from("here"), ofHere.map(message))
        assert.deepStrictEqual(from("there"), ofThere.map(message))
      }
    })
  )

  it.effect("reaches the subscribers of a channel and no others, whatever its name [PS-11, PS-19]", () =>
    Effect.gen(function* () {
      const here = yield* replica
      const names = ["a", "a.b", "a.*", ">", "50%", "a b", `"a"`, "a:b", "it's", "Upper Case", "größe 😀", "a\tb"]
      const subscriptions = yield* Effect.forEach(names, (name) => on(here)(subscribe(name)))
      for (const { next } of subscriptions) yield* next

      for (const name of names) yield* here.publish(name, name)

      for (const [i, { next }] of subscriptions.entries()) assert.deepStrictEqual(yield* next, message(names[i]!))
      for (const { received } of subscriptions) assert.deepStrictEqual(yield* received, [])
    })
  )

  it.effect(
    "does not let a blocked subscriber delay the publisher or the others, and marks its losses once [BK-01]",
    () =>
      Effect.gen(function* () {
        const here = yield* replica
        const seen = yield* Queue.unbounded<Event>()
        const released = yield* Latch.make()
        const busy = yield* Latch.make()
        yield* here.subscribe("a").pipe(
          Stream.tap(() => Effect.andThen(busy.open, released.await)),
          Stream.runForEach((event) => Queue.offer(seen, event)),
          Effect.forkScoped
        )
        yield* busy.await
        const other = yield* on(here)(subscribe("a"))
        yield* other.next

        const burst = Effect.forEach(numbers(1_030), (payload) => here.publish("a", payload), { concurrency: 16 })
        yield* Effect.repeat(Effect.andThen(burst, other.take(1_030)), { times: 1 })
        yield* released.open

        const held = yield* Queue.takeN(seen, 2_050)
        assert.deepStrictEqual([held.at(0), held.at(-1)], [Resync(), Resync()])
        assert.isTrue(held.slice(1, -1).every(is("Message")))
      })
  )

  it.effect("takes a subscriber back after all have left [PS-08]", () =>
    Effect.gen(function* () {
      const here = yield* replica
      for (const round of numbers(20)) {
        const subscription = yield* on(here)(subscribe("a"))
        assert.deepStrictEqual(yield* subscription.next, Resync())
        yield* here.publish("a", round)
        assert.deepStrictEqual(yield* subscription.next, message(round))
        yield* subscription.cancel
      }
    })
  )

  if (!isRemote) return

  it.effect("limits names to 63 bytes and payloads to 7 999, without NUL [PS-09, PS-10]", () =>
    Effect.gen(function* () {
      const here = yield* replica
      const longest = "€".repeat(21)
      const subscription = yield* on(here)(subscribe(longest))
      yield* subscription.next
      yield* here.publish(longest, "x".repeat(7_999))
      assert.deepStrictEqual(yield* subscription.next, message("x".repeat(7_999)))

      for (const name of ["", `${longest}x`, "a\0b"]) {
        assert.strictEqual((yield* Effect.flip((yield* on(here)(subscribe(name))).next)).operation, "subscribe")
        assert.strictEqual((yield* Effect.flip(here.publish(name, "1"))).operation, "publish")
      }
      for (const payload of ["x".repeat(8_000), "€".repeat(2_667), "a\0b"]) {
        assert.instanceOf(yield* Effect.flip(here.publish(longest, payload)), PubSubError)
      }
    })
  )

  it.effect("ends its subscriptions when it is closed [PS-15]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const here = yield* Scope.provide(replica, scope)
      const open = yield* on(here)(subscribe("a"))
      yield* open.next

      yield* Scope.close(scope, Exit.void)

      assert.instanceOf(yield* Effect.flip(open.next), PubSubError)
      assert.instanceOf(yield* Effect.flip((yield* on(here)(subscribe("a"))).next), PubSubError)
    })
  )
}
