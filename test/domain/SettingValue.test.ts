/** The kinds of values of settings: what each reads, refuses, writes and asks for. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Redacted, Schema } from "effect"
import * as SettingValue from "../../src/domain/SettingValue.ts"

const read = <A>({ codec }: SettingValue.SettingValue<A>, text: unknown): A | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(codec)(text))

/** Returns the text of a value that was read from a text. */
const rewritten = <A>({ codec }: SettingValue.SettingValue<A>, text: string) =>
  Effect.flatMap(Schema.decodeUnknownEffect(codec)(text), Schema.encodeEffect(codec))

describe("a kind of value", () => {
  it("says which values are allowed, and whether a message may repeat them", () => {
    const kinds = [
      SettingValue.text("a name"),
      SettingValue.pattern(/^a+$/, "some a"),
      SettingValue.secret(3),
      SettingValue.postgresUrl,
      SettingValue.wholeNumber(1, 2),
      SettingValue.wholeNumber(1, 2, "one or two"),
      SettingValue.number(0, 1),
      SettingValue.oneOf("a", "b", "c"),
      SettingValue.wordOr("auto", SettingValue.number(0, 1)),
      SettingValue.flag,
      SettingValue.listOf(Schema.String, "names"),
      SettingValue.duration,
      SettingValue.pause,
      SettingValue.retention
    ]

    assert.deepStrictEqual(
      kinds.map(({ isSecret, requirement }) => `${requirement}${isSecret ? " (secret)" : ""}`),
      [
        "a name",
        "some a",
        "at least 3 characters long (secret)",
        "an address that begins with postgresql:// (secret)",
        "a whole number from 1 to 2",
        "one or two",
        "a number from 0 to 1",
        "a, b or c",
        "a number from 0 to 1, or auto",
        "true or false",
        "names",
        "a positive duration such as 5s, 500ms or 1m30s",
        "a positive duration such as 5s or 500ms, or 0",
        "a positive duration such as 7 days or 12h, or 0"
      ]
    )
  })

  it("refuses what is not of its form", () => {
    assert.deepStrictEqual(
      ["", "a"].map((text) => read(SettingValue.text("a name"), text)),
      [undefined, "a"]
    )
    assert.deepStrictEqual(
      ["aa", "ab", ""].map((text) => read(SettingValue.pattern(/^a+$/, "some a"), text)),
      ["aa", undefined, undefined]
    )
    assert.deepStrictEqual(
      [-0.1, 0, 0.5, 1, 1.1, Infinity].map((number) => read(SettingValue.number(0, 1), number)),
      [undefined, 0, 0.5, 1, undefined, undefined]
    )
    assert.deepStrictEqual(
      ["a", "b", "A", ""].map((text) => read(SettingValue.oneOf("a", "b"), text)),
      ["a", "b", undefined, undefined]
    )
    assert.deepStrictEqual(
      ["auto", "a", "b"].map((text) => read(SettingValue.wordOr("auto", SettingValue.oneOf("a")), text)),
      ["auto", "a", undefined]
    )
  })

  it("keeps a secret, of at least its length", () => {
    const secrets = ["ab", "abc"].map((text) => read(SettingValue.secret(3), text))

    assert.isUndefined(secrets[0])
    assert.strictEqual(Redacted.value(secrets[1]!), "abc")
    assert.notInclude(String(secrets[1]), "abc")
  })

  it("is an address of Postgres with either of its schemes at the beginning, and no other", () => {
    const texts = ["postgres://a", "postgresql://a", "postgresq://a", "xpostgres://a", "postgres:/a", "mysql://a"]

    assert.deepStrictEqual(
      texts.map((text) => read(SettingValue.postgresUrl, text) !== undefined),
      [true, true, false, false, false, false]
    )
  })
})

describe("a flag", () => {
  it.effect("is true or false, and written so", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        ["true", "false", "yes", "TRUE", ""].map((text) => read(SettingValue.flag, text)),
        [true, false, undefined, undefined, undefined]
      )
      for (const text of ["true", "false"]) assert.strictEqual(yield* rewritten(SettingValue.flag, text), text)
    })
  )
})

describe("a list", () => {
  const names = SettingValue.listOf(Schema.NonEmptyString, "names")

  it.effect("has elements between commas, without the white space around them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(read(names, "a, b c ,d"), ["a", "b c", "d"])
      assert.isUndefined(read(names, "a,,b"))
      assert.isUndefined(read(names, ""))
      assert.strictEqual(yield* rewritten(names, " a, b"), "a,b")
    })
  )
})

describe("a duration of a setting", () => {
  const millis = (kind: SettingValue.SettingValue<Duration.Duration>, text: string) => {
    const duration = read(kind, text)
    return duration === undefined ? undefined : Duration.toMillis(duration)
  }

  it("may be 0 only where that has a meaning: no pause, or no end", () => {
    const { duration, pause, retention } = SettingValue

    assert.deepStrictEqual(
      [duration, pause, retention].map((kind) => millis(kind, "0")),
      [undefined, 0, Infinity]
    )
    assert.deepStrictEqual(
      [duration, pause, retention].map((kind) => millis(kind, "1m30s")),
      [90_000, 90_000, 90_000]
    )
    assert.deepStrictEqual(
      [pause, retention].map((kind) => millis(kind, "0s")),
      [undefined, undefined]
    )
  })

  it("may have a fraction, in either case of letters", () => {
    assert.deepStrictEqual(
      ["1.5s", "0.25 Hours", "1.s", ".5s"].map((text) => millis(SettingValue.duration, text)),
      [1_500, 900_000, undefined, undefined]
    )
  })

  it.effect("is written as people read it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* rewritten(SettingValue.duration, "90s"), "1m 30s")
      assert.strictEqual(yield* rewritten(SettingValue.pause, "0"), "0")
      assert.strictEqual(yield* rewritten(SettingValue.retention, "0"), "0")
    })
  )
})
