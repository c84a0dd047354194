import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Option, Schema } from "effect"
import * as FieldProblem from "../../src/domain/FieldProblem.ts"
import * as Fields from "../../src/domain/Fields.ts"

const State = Fields.upperCaseEnum("ready", "shutting_down")

/** A call with a field of each kind. */
const Call = Schema.Struct({
  state: State,
  at: Fields.time,
  exit_code: Fields.int32,
  took: Fields.seconds,
  logs: Fields.list(Schema.Struct({ level: State }))
})

const call = { state: "READY", at: "2026-01-22T10:00:00Z", took: 1.5 }

const problems = (input: unknown) =>
  Effect.map(Effect.flip(Schema.decodeUnknownEffect(Call, { errors: "all" })(input)), ({ issue }) =>
    FieldProblem.problemsOf(issue)
  )

describe("the fields of calls", () => {
  it.effect("have their defaults where they are left out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(Call)(call), {
        state: "ready",
        at: DateTime.makeUnsafe("2026-01-22T10:00:00Z"),
        exit_code: 0,
        took: Duration.millis(1_500),
        logs: []
      })
    })
  )

  it.effect("are written as they are read", () =>
    Effect.gen(function* () {
      const whole = { ...call, state: "SHUTTING_DOWN", at: "2026-01-22T10:00:00.000Z", exit_code: -1, logs: [] }

      const read = yield* Schema.decodeUnknownEffect(Call)(whole)

      assert.deepStrictEqual(yield* Schema.encodeEffect(Call)(read), whole)
    })
  )

  it("hold times of the years 1 to 9999 and numbers of 32 bits, bounds included", () => {
    const isTime = (text: string) => Option.isSome(Schema.decodeUnknownOption(Fields.time)(text))
    const isNumber = (number: number) =>
      Option.isSome(Schema.decodeUnknownOption(Schema.Struct({ number: Fields.int32 }))({ number }))

    assert.deepStrictEqual(
      ["0000-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "+010000-01-01T00:00:00Z"].map(
        isTime
      ),
      [false, true, true, false]
    )
    assert.deepStrictEqual([-(2 ** 31) - 1, -(2 ** 31), 2 ** 31 - 1, 2 ** 31, 0.5].map(isNumber), [
      false,
      true,
      true,
      false,
      false
    ])
    assert.strictEqual(DateTime.formatIso(Fields.zeroTime), "0001-01-01T00:00:00.000Z")
  })
})

describe("the problems of a value", () => {
  it.effect("have the path of their field, with indexes in brackets", () =>
    Effect.gen(function* () {
      const found = yield* problems({ ...call, exit_code: 2 ** 31, logs: [{ level: "READY" }, { level: "LOUD" }] })

      assert.deepStrictEqual(
        found.map(({ field }) => field),
        ["exit_code", "logs[1].level"]
      )
      assert.include(found[0]!.problem, "a number of 32 bits")
      assert.strictEqual(found[1]!.problem, "“LOUD” is none of READY, SHUTTING_DOWN")
    })
  )

  it.effect("have no field if the whole value is wrong", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* problems("text")).map(({ field }) => field),
        [""]
      )
    })
  )

  it.effect("repeat a hundred characters of an unknown word, and have at most 300 each", () =>
    Effect.gen(function* () {
      const [unknown] = yield* problems({ ...call, state: "X".repeat(101) })
      assert.strictEqual(unknown!.problem, `“${"X".repeat(100)}” is none of READY, SHUTTING_DOWN`)

      const Long = Schema.Record(Schema.String, Schema.String.check(Schema.makeFilter(() => "y".repeat(301))))
      const { issue } = yield* Effect.flip(Schema.decodeUnknownEffect(Long)({ ["k".repeat(301)]: "" }))
      assert.deepStrictEqual(FieldProblem.problemsOf(issue), [{ field: "k".repeat(300), problem: "y".repeat(300) }])
    })
  )
})
