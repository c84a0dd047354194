import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { randomUuid } from "../../src/domain/RandomUuid.ts"

describe("randomUuid", () => {
  it.effect("is a version 4 UUID of 36 characters, another one each time [PS-23]", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([randomUuid, randomUuid])

      assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.notStrictEqual(first, second)
    })
  )

  it.effect("repeats itself with the seed", () =>
    Effect.gen(function* () {
      const seeded = Random.withSeed(randomUuid, "seed")

      assert.strictEqual(yield* seeded, yield* seeded)
    })
  )
})
