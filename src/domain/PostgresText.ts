/** Text that Postgres can hold: without NUL, and without half a character. */
import { Effect, Schema, SchemaGetter } from "effect"

/** Returns `text` without the characters that cannot be stored. */
export const storable = (text: string): string =>
  (text.includes("\0") ? text.replaceAll("\0", "") : text).toWellFormed()

/** Text from which decoding removes the characters that cannot be stored. */
export const PostgresText = Schema.String.pipe(
  Schema.decode({ decode: SchemaGetter.transform(storable), encode: SchemaGetter.passthrough() })
)

/** Accepts only text that can be stored unchanged. */
export const isStorable = Schema.makeFilter<string>(
  (text) => (text.isWellFormed() && !text.includes("\0")) || "Expected text without NUL or half a character"
)

/** The same as an optional field: the default is the empty text. */
export const OptionalText = PostgresText.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("")))

/** The same with a maximum length. */
export const optionalText = (maximum: number) =>
  OptionalText.check(Schema.isMaxLength(maximum, { expected: `at most ${maximum} characters` }))

/** The same with the characters beyond a maximum length cut off, for calls whose error would end a connection. */
export const cutText = (maximum: number) =>
  Schema.String.pipe(
    Schema.decode({
      decode: SchemaGetter.transform((text: string) => storable(text.slice(0, maximum))),
      encode: SchemaGetter.passthrough()
    }),
    Schema.withDecodingDefaultTypeKey(Effect.succeed(""))
  )
