/** Checks of rights under the test clock, over a pubsub within the process. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Revocations from "../../src/access/Revocations.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { agent } from "../support/metadataBatcher.ts"

/** A watcher that follows agent 1; `right` is the right that it watches. */
const start = Effect.gen(function* () {
  const right = { holds: Effect.succeed(true) as Effect.Effect<boolean, string>, checks: 0 }
  const { watch } = yield* Revocations.Revocations
  const revoked = yield* Deferred.make<void>()
  const isValid = Effect.suspend(() => {
    right.checks++
    return right.holds
  })
  const { follow } = yield* watch(Revocations.endUnless(isValid, Effect.asVoid(Deferred.succeed(revoked, undefined))))
  follow(`agent:${agent(1)}`)
  const fiber = yield* Effect.forkScoped(Deferred.await(revoked), { startImmediately: true })
  const announce = (subject: string) =>
    Effect.andThen(
      PubSub.PubSub.use((pubsub) => pubsub.publish(Revocations.channel, subject)),
      TestClock.adjust(0)
    )
  yield* TestClock.adjust(0)
  return { announce, fiber, right }
})

const over = Layer.provideMerge(Revocations.layer, PubSub.layerMemory)

describe("Revocations", () => {
  it.effect("checks a watcher when its subject is announced, and no other", () =>
    Effect.gen(function* () {
      const { announce, fiber, right } = yield* start
      yield* announce(`agent:${agent(2)}`)
      const before = right.checks

      yield* announce(`agent:${agent(1)}`)
      assert.strictEqual(right.checks, before + 1)
      assert.isUndefined(fiber.pollUnsafe())
      right.holds = Effect.succeed(false)
      yield* announce(`agent:${agent(1)}`)

      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.provide(over))
  )

  it.effect("checks every watcher once a minute, and ends none whose check fails [FT-05]", () =>
    Effect.gen(function* () {
      const { fiber, right } = yield* start
      const before = right.checks

      yield* TestClock.adjust("1 minute")
      assert.strictEqual(right.checks, before + 1)
      right.holds = Effect.fail("the database is away")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(right.checks, before + 6)
      assert.isUndefined(fiber.pollUnsafe())
      right.holds = Effect.succeed(false)
      yield* TestClock.adjust("1 minute")

      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.provide(over))
  )
})
