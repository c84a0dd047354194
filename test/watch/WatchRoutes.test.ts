/** Both ways to watch an agent, over real connections and under the test clock, with a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"

import * as PubSub from "../../src/pubsub/PubSub.ts"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"

import { showing } from "../support/directory.ts"
import { agent } from "../support/metadataBatcher.ts"

import { announce, behind, change, token, unavailable } from "../support/watchRoutes.ts"
import * as Watcher from "../support/watcher.ts"

const seconds = (count: number) => Effect.replicateEffect(TestClock.adjust("1 second"), count)

const values = (event: WatchEvent) =>
  event.type === "data"
    ? Object.fromEntries(event.data.map(({ description, result }) => [description.key, result.value]))
    : event

const ways: ReadonlyArray<readonly [way: string, watch: Watcher.Watch]> = [
  ["by server-sent events", Watcher.overEvents],
  ["over a WebSocket", Watcher.overWebSocket]
]

for (const [way, watch] of ways) {
  const open = watch(agent(1), showing(token))

  describe(`watching ${way}`, () => {
    it.effect("brings the list at once, and a change with the next second [WA-01, WA-02, WA-04]", () =>
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

    it.effect("gets a 500 and nothing else when the first read fails [WA-01, WA-02, WA-05]", () =>
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

    it.effect("gets a 500 and nothing else when it cannot subscribe [WA-01, WA-02, WA-06]", () =>
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

    it.effect("brings a ping every fifteen seconds [WA-01, WA-02, WA-22]", () =>
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

    it.effect("is over after an error event when a later read fails [WA-01, WA-02, WA-15, WA-16]", () =>
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

    it.effect("unsubscribes when the client leaves [WA-01, WA-02, WA-17]", () =>
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
  it.effect("gets a 500 when it cannot be read", () =>
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
