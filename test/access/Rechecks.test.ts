/** Tokens of open connections that are checked again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { AccessUnavailable } from "../../src/access/AccessError.ts"
import * as Rechecks from "../../src/access/internal/rechecks.ts"
import * as Fake from "../support/accessStore.ts"

/** Checks of the tokens `1` to `4`; `ids` are those of their callers. */
const start = Effect.gen(function* () {
  const ids = new Map([1, 2, 3, 4].map((number) => [String(number), `agent ${number}`]))
  const world = { isAway: false, lookups: [] as Array<number>, ended: [] as Array<number> }
  const recheck = yield* Rechecks.make((tokens) => {
    world.lookups.push(tokens.length)
    return world.isAway
      ? Effect.fail(new AccessUnavailable({ message: "away" }))
      : Effect.succeed(tokens.map((token) => Option.fromUndefinedOr(ids.get(Redacted.value(token)))))
  })
  const checkAll = Effect.suspend(() => {
    for (const number of [1, 2, 3, 4]) {
      recheck({
        token: Fake.token(String(number)),
        id: `agent ${number}`,
        end: Effect.sync(() => void world.ended.push(number))
      })
    }
    return TestClock.adjust(0)
  })
  return { checkAll, ids, world }
})

describe("rechecks", () => {
  it.effect("of a moment are one look-up, and end nothing while all tokens are valid [FT-05]", () =>
    Effect.gen(function* () {
      const { checkAll, world } = yield* start

      yield* Effect.andThen(checkAll, checkAll)

      assert.deepStrictEqual(world, { isAway: false, lookups: [4, 4], ended: [] })
    })
  )

  it.effect("end the connections whose token is nobody's or another's, and no other [FT-05]", () =>
    Effect.gen(function* () {
      const { checkAll, ids, world } = yield* start
      ids.delete("2")
      ids.set("3", "agent 4")

      yield* checkAll

      assert.deepStrictEqual(world.ended, [2, 3])
    })
  )

  it.effect("end nothing while tokens cannot be looked up [FT-05]", () =>
    Effect.gen(function* () {
      const { checkAll, ids, world } = yield* start
      ids.clear()
      world.isAway = true

      yield* checkAll
      assert.deepStrictEqual(world.ended, [])
      world.isAway = false
      yield* checkAll

      assert.deepStrictEqual(world.ended, [1, 2, 3, 4])
    })
  )

  it.effect(
    "are look-ups of at most two hundred tokens, none of which holds up the others by its failure [FT-05]",
    () =>
      Effect.gen(function* () {
        const lookups: Array<number> = []
        const ended: Array<number> = []
        const recheck = yield* Rechecks.make((tokens) => {
          const isSecond = lookups.push(tokens.length) === 2
          return isSecond
            ? Effect.fail(new AccessUnavailable({ message: "away" }))
            : Effect.succeed(tokens.map(() => Option.none()))
        })

        for (let number = 0; number < 450; number++) {
          recheck({ token: Fake.token(String(number)), id: "", end: Effect.sync(() => void ended.push(number)) })
        }
        yield* TestClock.adjust(0)

        assert.deepStrictEqual(lookups, [200, 200, 50])
        assert.deepStrictEqual(
          ended,
          Array.from({ length: 450 }, (_, number) => number).filter((number) => number < 200 || number >= 400)
        )
      })
  )
})
