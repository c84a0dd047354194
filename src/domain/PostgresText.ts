/** Text as Postgres can hold it: without NUL, and without half a character. */
import { Effect, Schema, SchemaGetter } from "effect"

/** `text` without what cannot be stored. */
export const storable = (text: string): string =>
  (text.includes("\0") ? text.replaceAll("\0", "") : text).toWellFormed()

/** Text that loses what cannot be stored when it is decoded. */
export const PostgresText = Schema.String.pipe(
  Schema.decode({ decode: SchemaGetter.transform(storable), encode: SchemaGetter.passthrough() })
)

/** Accepts text that can be stored as it is, and refuses other text. */
export const isStorable = Schema.makeFilter<string>(
  (text) => (text.isWellFormed() && !text.includes("\0")) || "Expected text without NUL or half a character"
)

/** The same where it may be left out, which is the empty text. */
export const OptionalText = PostgresText.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("")))
