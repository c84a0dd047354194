import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Logger, Queue, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as MetadataStoreMetrics from "../../../../src/metadata/MetadataStoreMetrics.ts"
import type { Client } from "../../../../src/storage/internal/redis/redisClients.ts"
import { watchNodes } from "../../../../src/storage/internal/redis/redisNodes.ts"
import { isolated } from "../../../support/isolated.ts"
import { level } from "../../../pubsub/support.ts"

/** A client whose only node is away. */
const away: Client = {
  send: () => Promise.reject(new Error("away")),
  nodes: () => [{ address: "a:1", send: () => Promise.reject(new Error("away")) }],
  close: () => Promise.resolve(),
  destroy: () => {}
}

/** Watches the node, and returns when its client was replaced so far, in seconds. */
const start = Effect.fnUntraced(function* (random: number) {
  const failed = yield* Queue.sliding<void>(1)
  const times: Array<number> = []
  const renew = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    times.push(now / 1_000)
    return Effect.fail("away")
  })
  yield* watchNodes(() => away, renew, failed, "probe").pipe(
    Effect.provideService(Random.Random, { nextDoubleUnsafe: () => random, nextIntUnsafe: () => 0 })
  )
  return times
})

describe("the nodes of the metadata store", () => {
  for (const [title, random, expected] of [
    ["after 1 s, then after twice as long each time up to 4 s", 0.5, [1, 2, 4, 4, 4]],
    ["at times that vary by a fifth", 1, [1.2, 2.4, 4.8, 4.8, 4.8]]
  ] as const) {
    it.effect(`get other connections while one is away: at once, ${title} [RS-08]`, () =>
      Effect.gen(function* () {
        const times = yield* start(random)
        yield* TestClock.adjust("1 hour")

        const pauses = times.slice(1, 6).map((time, index) => Math.round((time - times[index]!) * 1_000) / 1_000)
        assert.deepStrictEqual([times[0], ...pauses], [0, ...expected])
      }).pipe(Effect.provide(Logger.layer([])))
    )
  }

  it.effect("are no longer counted as away once their store is closed [RS-08]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(start(0.5), scope)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* level(MetadataStoreMetrics.nodesAway), 1)

      yield* Scope.close(scope, Exit.void)

      assert.strictEqual(yield* level(MetadataStoreMetrics.nodesAway), 0)
    }).pipe(isolated, Effect.provide(Logger.layer([])))
  )
})
