/** Parts of requests that may be left out, as in the original's protocol. */
import { Effect, Schema } from "effect"

/** A list, empty where it is left out. */
export const list = <S extends Schema.Top>(element: S) =>
  Schema.Array(element).pipe(Schema.withDecodingDefaultKey(Effect.succeed([])))
