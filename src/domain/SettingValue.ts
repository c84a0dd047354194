/**
 * The kinds of values in settings and flags, each with the words that say which values are allowed.
 */
import { Duration, Schema, SchemaTransformation } from "effect"

/** A kind of value: how it is read, and the message for a value that cannot be read. */
export interface SettingValue<A> {
  readonly codec: Schema.ConstraintCodec<A, unknown>
  /** The end of the sentence "The setting must be …". */
  readonly requirement: string
  /** Whether no message may repeat the value. */
  readonly isSecret: boolean
}

const value = <A>(
  codec: Schema.ConstraintCodec<A, unknown>,
  requirement: string,
  options: { readonly isSecret?: boolean } = {}
): SettingValue<A> => ({ codec, requirement, isSecret: options.isSecret ?? false })

/** Any text except the empty one. */
export const text = (requirement: string) => value(Schema.NonEmptyString, requirement)

/** Text of a certain form. */
export const pattern = (form: RegExp, requirement: string) =>
  value(Schema.String.check(Schema.isPattern(form)), requirement)

/** A secret of at least `minimum` characters. */
export const secret = (minimum: number) =>
  value(
    Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(minimum))),
    `at least ${minimum} characters long`,
    { isSecret: true }
  )

/** An address with credentials in it, of a certain form. */
export const secretUrl = (form: RegExp, requirement: string) =>
  value(Schema.RedactedFromValue(Schema.String.check(Schema.isPattern(form))), requirement, { isSecret: true })

export const postgresUrl = secretUrl(/^postgres(ql)?:\/\//, "an address that begins with postgresql://")

export const wholeNumber = (
  minimum: number,
  maximum: number,
  requirement = `a whole number from ${minimum} to ${maximum}`
) => value(Schema.Int.check(Schema.isBetween({ minimum, maximum })), requirement)

export const number = (minimum: number, maximum: number) =>
  value(Schema.Finite.check(Schema.isBetween({ minimum, maximum })), `a number from ${minimum} to ${maximum}`)

/** One of some words. */
export const oneOf = <const Words extends ReadonlyArray<string>>(...words: Words) =>
  value(Schema.Literals(words), `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`)

/** A word, or another kind of value. */
export const wordOr = <const Word extends string, A>(word: Word, other: SettingValue<A>) =>
  value(Schema.Union([Schema.Literal(word), other.codec]), `${other.requirement}, or ${word}`)

/** `true` or `false`. */
export const flag = value(
  Schema.Literals(["true", "false"]).pipe(
    Schema.decodeTo(
      Schema.Boolean,
      SchemaTransformation.transform({
        decode: (text) => text === "true",
        encode: (value) => (value ? ("true" as const) : ("false" as const))
      })
    )
  ),
  "true or false"
)

/** A list of elements, separated by commas. */
export const listOf = <A extends string>(element: Schema.Codec<A, string>, requirement: string) =>
  value(
    Schema.String.pipe(
      Schema.decodeTo(
        Schema.Array(element),
        SchemaTransformation.transform({
          decode: (text): ReadonlyArray<string> => text.split(",").map((part) => part.trim()),
          encode: (parts) => parts.join(",")
        })
      )
    ),
    requirement
  )

/** The units of a duration in milliseconds, each with every way to write it. */
const units: ReadonlyArray<readonly [millis: number, names: string]> = [
  [1, "ms|millis?|milliseconds?"],
  [1_000, "s|secs?|seconds?"],
  [60_000, "m|mins?|minutes?"],
  [3_600_000, "h|hours?"],
  [86_400_000, "d|days?"],
  [604_800_000, "w|weeks?"]
]
const part = String.raw`\s*(\d+(?:\.\d+)?)\s*(${units.map(([, names]) => names).join("|")})(?![a-z])\s*`
const isUnit = units.map(([millis, names]) => ({ millis, name: new RegExp(`^(?:${names})$`, "i") }))

const parseDuration = (text: string): Duration.Duration => {
  let millis = 0
  for (const [, amount, unit] of text.matchAll(new RegExp(part, "gi"))) {
    millis += Number(amount) * isUnit.find(({ name }) => name.test(unit!))!.millis
  }
  return Duration.millis(millis)
}

/** A finite duration above zero, as people write it: `5s`, `500ms`, `1m30s`, `5 seconds`. */
export const PositiveDuration = Schema.String.check(Schema.isPattern(new RegExp(`^(?:${part})+$`, "i"))).pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transform({ decode: parseDuration, encode: (duration) => Duration.format(duration) })
  ),
  Schema.check(
    Schema.makeFilter((duration: Duration.Duration) => Duration.isFinite(duration) && Duration.isPositive(duration))
  )
)

export const duration = value(PositiveDuration, "a positive duration such as 5s, 500ms or 1m30s")

const durationOr0 = (zero: Duration.Duration, requirement: string) =>
  value(
    Schema.Union([
      Schema.Literal("0").pipe(
        Schema.decodeTo(
          Schema.Duration,
          SchemaTransformation.transform({ decode: () => zero, encode: () => "0" as const })
        )
      ),
      PositiveDuration
    ]),
    requirement
  )

/** How long something waits: a duration, or 0 for not at all. */
export const pause = durationOr0(Duration.zero, "a positive duration such as 5s or 500ms, or 0")

/** How long something is kept: a duration, or 0, which becomes infinity. */
export const retention = durationOr0(Duration.infinity, "a positive duration such as 7 days or 12h, or 0")
