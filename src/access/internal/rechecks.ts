/**
 * Checks the tokens of open connections again: those that are due at the same time in one fiber, by few look-ups.
 *
 * - A connection ends if its token belongs to nobody, or to another caller than at the start.
 * - No connection ends while its token cannot be looked up. A look-up that fails holds up no other.
 */
import { Array as Arr, Effect, Option } from "effect"
import * as Collector from "../../platform/Collector.ts"
import type { AccessUnavailable } from "../AccessError.ts"
import type * as Token from "../Token.ts"

/** The most tokens of a look-up: few, because a turn makes all their digests. */
const maxTokens = 200

export interface Recheck {
  readonly token: Token.Token
  /** The id of the caller at the start. */
  readonly id: string
  readonly end: Effect.Effect<void>
}

/** Makes the function that adds a check. `idsOf` returns the ids of the callers that tokens belong to, in their order. */
export const make = (
  idsOf: (tokens: ReadonlyArray<Token.Token>) => Effect.Effect<ReadonlyArray<Option.Option<string>>, AccessUnavailable>
) => {
  const check = (checks: ReadonlyArray<Recheck>) =>
    Effect.matchEffect(idsOf(checks.map(({ token }) => token)), {
      onFailure: () => Effect.void,
      onSuccess: (ids) => {
        const revoked = checks.filter(({ id }, index) => !Option.contains(ids[index]!, id))
        return Effect.forEach(revoked, ({ end }) => end, { discard: true })
      }
    })
  const all = (checks: ReadonlyArray<Recheck>) =>
    Effect.forEach(Arr.chunksOf(checks, maxTokens), check, { discard: true })
  return Effect.map(Collector.make(all), ({ addUnsafe }) => addUnsafe)
}
