/** Durations and sizes of settings, whatever their text. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Option, Schema } from "effect"
import * as SettingValue from "../../src/domain/SettingValue.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const decodeDuration = Schema.decodeUnknownOption(SettingValue.PositiveDuration)
const decodeNumber = Schema.decodeUnknownOption(SettingValue.wholeNumber(3, 1_000).codec)

const units = {
  1: ["ms", "milli", "millis", "millisecond", "milliseconds"],
  1_000: ["s", "sec", "secs", "second", "seconds"],
  60_000: ["m", "min", "mins", "minute", "minutes"],
  3_600_000: ["h", "hour", "hours"],
  86_400_000: ["d", "day", "days"],
  604_800_000: ["w", "week", "weeks"]
}
const names = Object.entries(units).flatMap(([millis, names]) =>
  names.map((name) => ({ millis: Number(millis), name }))
)

describe("a duration", () => {
  it.prop(
    "is the sum of its parts, in every unit, with and without spaces and capitals",
    {
      parts: Schema.Array(
        Schema.Struct({
          amount: upTo(10_000),
          unit: upTo(names.length - 1),
          space: Schema.Boolean,
          capital: Schema.Boolean
        })
      )
    },
    ({ parts }) => {
      const text = parts
        .map(({ amount, capital, space, unit }) => {
          const { name } = names[unit]!
          return `${amount}${space ? " " : ""}${capital ? name.toUpperCase() : name}${space ? " " : ""}`
        })
        // a letter behind a unit would belong to it, and a digit does not
        .join("")
      const millis = parts.reduce((sum, { amount, unit }) => sum + amount * names[unit]!.millis, 0)

      assert.deepStrictEqual(
        Option.map(decodeDuration(text), Duration.toMillis),
        millis === 0 ? Option.none() : Option.some(millis)
      )
    }
  )

  it.prop("is positive and finite, or refused, whatever the text", { text: Schema.String }, ({ text }) => {
    const read = decodeDuration(text)

    if (Option.isSome(read)) {
      assert.match(text, /^\s*\d/)
      assert.isTrue(Duration.isFinite(read.value) && Duration.isPositive(read.value))
    }
  })

  it.prop("is refused without a unit, below zero and with more behind it", { amount: upTo(10_000) }, ({ amount }) => {
    for (const text of [
      `${amount}`,
      `-${amount + 1}s`,
      `${amount + 1}s,`,
      `${amount + 1}sx`,
      `x${amount + 1}s`,
      `${amount}e3s`
    ]) {
      assert.isTrue(Option.isNone(decodeDuration(text)), text)
    }
  })
})

describe("a number", () => {
  it.prop("is taken within its bounds and refused beyond them", { number: Schema.Int }, ({ number }) => {
    assert.deepStrictEqual(decodeNumber(number), number >= 3 && number <= 1_000 ? Option.some(number) : Option.none())
  })

  it("is taken at its bounds, and refused with a fraction", () => {
    assert.deepStrictEqual(
      [2, 3, 1_000, 1_001, 3.5].map((number) => Option.isSome(decodeNumber(number))),
      [false, true, true, false, false]
    )
  })
})
