/** Limits how many requests, streams and WebSockets each user or agent may have open at the same time. */
import { Effect, type Scope } from "effect"
import * as LeanScope from "../../platform/LeanScope.ts"
import { TooManyConnections } from "../AccessError.ts"

export const make = (maximum: number) => {
  const open = new Map<string, number>()

  const leave = (id: string) =>
    Effect.sync(() => {
      const rest = open.get(id)! - 1
      if (rest === 0) open.delete(id)
      else open.set(id, rest)
    })

  /** Counts one as open until the scope closes. Fails if too many are open. */
  return (id: string): Effect.Effect<void, TooManyConnections, Scope.Scope> =>
    LeanScope.acquireRelease(
      Effect.suspend(() => {
        const count = open.get(id) ?? 0
        if (count >= maximum) {
          return Effect.fail(
            new TooManyConnections({ message: `at most ${maximum} connections may be open at a time` })
          )
        }
        open.set(id, count + 1)
        return Effect.void
      }),
      () => leave(id)
    )
}
