/**
 * Checks the tokens of open connections again: those that are due at the same time by one statement, in one fiber.
 *
 * - A connection ends if its token belongs to nobody, or to another caller than at the start.
 * - No connection ends while tokens cannot be looked up.
 */
import { Effect, Option } from "effect"
import * as Collector from "../../platform/Collector.ts"
import type { AccessUnavailable } from "../AccessError.ts"
import type * as Token from "../Token.ts"

export interface Recheck {
  readonly token: Token.Token
  /** The id of the caller at the start. */
  readonly id: string
  readonly end: Effect.Effect<void>
}

/** Makes the function that adds a check. `idsOf` returns the ids of the callers that tokens belong to, in their order. */
export const make = (
  idsOf: (tokens: ReadonlyArray<Token.Token>) => Effect.Effect<ReadonlyArray<Option.Option<string>>, AccessUnavailable>
) =>
  Effect.map(
    Collector.make<Recheck>((checks) =>
      Effect.matchEffect(idsOf(checks.map(({ token }) => token)), {
        onFailure: () => Effect.void,
        onSuccess: (ids) => {
          const revoked = checks.filter(({ id }, index) => !Option.contains(ids[index]!, id))
          return Effect.forEach(revoked, ({ end }) => end, { discard: true })
        }
      })
    ),
    ({ addUnsafe }) => addUnsafe
  )
