import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AgentIdChunks from "../../../src/metadata/AgentIdChunks.ts"
import * as PubSub from "../../../src/pubsub/PubSub.ts"
import * as Changes from "../../../src/watch/internal/changes.ts"
import { heapBytes } from "../../support/heap.ts"
import { agent } from "../../support/metadataBatcher.ts"

/** A pubsub whose subscriptions the test feeds, one after the other. */
const start = Effect.gen(function* () {
  const subscriptions: Array<Queue.Queue<PubSub.Event, PubSub.PubSubError>> = []
  let open = 0
  const changes = yield* Effect.provideService(Changes.make, PubSub.PubSub, {
    publish: () => Effect.void,
    subscribe: () =>
      Stream.unwrap(
        Effect.gen(function* () {
          const events = yield* Queue.unbounded<PubSub.Event, PubSub.PubSubError>()
          yield* Queue.offer(events, PubSub.Resync())
          subscriptions.push(events)
          open++
          return Stream.ensuring(
            Stream.fromQueue(events),
            Effect.sync(() => open--)
          )
        })
      )
  })
  const told: Array<number> = []
  const publish = (payload: string) =>
    Effect.andThen(
      Effect.suspend(() => Queue.offer(subscriptions.at(-1)!, PubSub.Message({ payload }))),
      TestClock.adjust(0)
    )
  return {
    told,
    counts: () => [subscriptions.length, open],
    /** Listens for changes of an agent until the answered effect is run. */
    listen: Effect.fnUntraced(function* (number: number) {
      const scope = yield* Scope.make()
      const { ended } = yield* Scope.provide(
        changes.listen(agent(number), () => void told.push(number)),
        scope
      )
      return { ended, leave: Scope.close(scope, Exit.void) }
    }),
    announce: (...numbers: ReadonlyArray<number>) => publish(AgentIdChunks.encode(numbers.map(agent)).join("")),
    publish,
    resync: Effect.suspend(() => Queue.offer(subscriptions.at(-1)!, PubSub.Resync())).pipe(
      Effect.andThen(TestClock.adjust(0))
    ),
    fail: Effect.suspend(() =>
      Queue.fail(
        subscriptions.at(-1)!,
        new PubSub.PubSubError({ operation: "subscribe", channel: "any", cause: "gone" })
      )
    ).pipe(Effect.andThen(TestClock.adjust(0)))
  }
})

/** A text that counts how many of its characters are looked at. */
class WatchedText extends String {
  looks = 0
  override codePointAt(index: number) {
    this.looks++
    return super.codePointAt(index)
  }
  override charCodeAt(index: number) {
    this.looks++
    return super.charCodeAt(index)
  }
  override indexOf(part: string, from?: number) {
    this.looks += this.length
    return super.indexOf(part, from)
  }
  override slice(start?: number, end?: number) {
    const part = super.slice(start, end)
    this.looks += part.length
    return part
  }
}

describe("changes", () => {
  it.effect("come over one subscription, from the first listener to the last", () =>
    Effect.gen(function* () {
      const { counts, listen } = yield* start
      assert.deepStrictEqual(counts(), [0, 0])

      const [one, other] = [yield* listen(1), yield* listen(2)]
      assert.deepStrictEqual(counts(), [1, 1])
      yield* one.leave
      assert.deepStrictEqual(counts(), [1, 1])
      yield* other.leave
      assert.deepStrictEqual(counts(), [1, 0])
      yield* listen(3)
      assert.deepStrictEqual(counts(), [2, 1])
    })
  )

  it.effect("reach all listeners of an agent that is named, all after a loss, and none that has left [WA-21]", () =>
    Effect.gen(function* () {
      const { announce, listen, resync, told } = yield* start
      const [first] = [yield* listen(1), yield* listen(1), yield* listen(2)]

      yield* announce(3, 1)
      assert.deepStrictEqual(told.splice(0), [1, 1])
      yield* first.leave
      yield* announce(2, 1)
      assert.deepStrictEqual(told.splice(0), [2, 1])
      yield* resync
      assert.deepStrictEqual(told, [1, 2])
    })
  )

  it.effect("cost all listeners together one look at each character of a message [SL-03]", () =>
    Effect.gen(function* () {
      const { listen, publish, told } = yield* start
      const agents = Array.from({ length: AgentIdChunks.maxIdsPerChunk }, (_, index) => index)
      for (const number of [...agents, ...agents]) yield* listen(number)

      const [payload] = AgentIdChunks.encode(agents.map(agent))
      const watched = new WatchedText(payload)
      yield* publish(watched as unknown as string)

      assert.deepStrictEqual(
        told,
        agents.flatMap((number) => [number, number])
      )
      assert.deepStrictEqual([watched.length, watched.looks], [7_986, 7_986])
    })
  )

  it.effect("keep nothing of an agent that nobody listens to any more", () =>
    Effect.gen(function* () {
      const { listen } = yield* start
      yield* listen(0)
      const come = (from: number) =>
        Effect.forEach(
          Array.from({ length: 5_000 }, (_, index) => from + index),
          (number) => Effect.flatMap(listen(number), ({ leave }) => leave),
          { discard: true }
        )
      yield* come(1)

      const before = heapBytes()
      yield* Effect.forEach([1, 2, 3, 4], (round) => come(round * 5_000 + 1), { discard: true })
      const perAgent = (heapBytes() - before) / 20_000

      assert.isBelow(perAgent, 100, "bytes")
    })
  )

  it.effect("end with their subscription, and a later listener has another one", () =>
    Effect.gen(function* () {
      const { announce, counts, fail, listen, told } = yield* start
      const before = yield* listen(1)

      yield* fail
      yield* before.ended
      const after = yield* listen(1)
      assert.deepStrictEqual(counts(), [2, 1])
      yield* announce(1)
      assert.deepStrictEqual(told, [1])
      yield* before.leave
      assert.deepStrictEqual(counts(), [2, 1])
      yield* after.leave
      assert.deepStrictEqual(counts(), [2, 0])
    })
  )
})
