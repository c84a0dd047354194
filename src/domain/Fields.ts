/** Request fields that several calls share, some of them optional, as in the original's protocol. */
import { DateTime, Duration, Effect, Schema, SchemaGetter } from "effect"

/** A list; empty if it is left out. */
export const list = <S extends Schema.Top>(element: S) =>
  Schema.Array(element).pipe(Schema.withDecodingDefaultKey(Effect.succeed([])))

/** One of `words`, in upper case on the wire. The error names any other word. */
export const upperCaseEnum = <const Words extends ReadonlyArray<string>>(...words: Words) => {
  const byName = new Map<string, Words[number]>(words.map((word) => [word.toUpperCase(), word]))
  const known = [...byName.keys()].join(", ")
  return Schema.String.check(
    Schema.makeFilter((name: string) => byName.has(name) || `“${name.slice(0, 100)}” is none of ${known}`)
  ).pipe(
    Schema.decodeTo(Schema.Literals(words), {
      decode: SchemaGetter.transform((name: string) => byName.get(name)!),
      encode: SchemaGetter.transform((word: Words[number]) => word.toUpperCase())
    })
  )
}

/** The time that stands for none, as in the original. */
export const zeroTime: DateTime.Utc = DateTime.makeUnsafe("0001-01-01T00:00:00Z")

const lastTime = DateTime.makeUnsafe("9999-12-31T23:59:59.999Z")

/** A time that RFC 3339 can express. */
export const time = Schema.DateTimeUtcFromString.check(
  Schema.makeFilter((time: DateTime.Utc) => DateTime.between(time, { minimum: zeroTime, maximum: lastTime }), {
    expected: "a time of the years 1 to 9999"
  })
)

/** A 32-bit number, as the database holds it. Zero if it is left out. */
export const int32 = Schema.Int.check(
  Schema.isBetween({ minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }, { expected: "a number of 32 bits" })
).pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))

/** A duration as a number of seconds. */
export const seconds = Schema.Finite.pipe(
  Schema.decodeTo(Schema.Duration, {
    decode: SchemaGetter.transform(Duration.seconds),
    encode: SchemaGetter.transform(Duration.toSeconds)
  })
)
