/**
 * How often agents may call.
 *
 * - An agent may make `perSecond` calls a second, over all its connections, and as many again at once after a pause.
 * - One that calls more often is not refused: what it sends is read as slowly as it may call, so that it stays with the
 *   agent and the network.
 */
import { Clock, Context, Effect, RcMap } from "effect"
import type { AgentId } from "../domain/Ids.ts"

/** Has to run before each call. */
export const OnCall = Context.Reference<Effect.Effect<void>>("metadata-batcher/agentapi/CallRate/OnCall", {
  defaultValue: () => Effect.void
})

export interface CallRate {
  /** Counts a call. */
  readonly spend: Effect.Effect<void>
  /** Waits until the agent may call again. */
  readonly ready: Effect.Effect<void>
}

/** The rates of all agents that are connected, and of those that may come back to go on. */
export const make = Effect.fnUntraced(function* (perSecond: number) {
  const interval = 1_000 / perSecond
  const rates = yield* RcMap.make({
    lookup: (_: AgentId) =>
      Effect.sync((): CallRate => {
        // when all calls so far would have been made, had they come one by one
        let even = 0
        return {
          spend: Effect.map(Clock.currentTimeMillis, (now) => {
            even = Math.max(even, now) + interval
          }),
          ready: Effect.flatMap(Clock.currentTimeMillis, (now) =>
            even - now > 1_000 ? Effect.sleep(even - now - 1_000) : Effect.void
          )
        }
      }),
    idleTimeToLive: "1 minute"
  })
  return (agentId: AgentId) => RcMap.get(rates, agentId)
})
