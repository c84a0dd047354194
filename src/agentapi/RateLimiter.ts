/**
 * How often agents may call.
 *
 * - An agent may make `perSecond` calls a second, over all its connections, and as many again at once after a pause.
 * - One that calls more often is not refused: what it sends is read as slowly as it may call, so that it stays with the
 *   agent and the network.
 * - Time is what has passed, whatever is done to the clock.
 */
import { Clock, Effect, type Scope } from "effect"
import type { AgentId } from "../domain/Ids.ts"

export interface CallRate {
  /** Counts a call. */
  readonly spendUnsafe: () => void
  /** Waits until the agent may call again. */
  readonly ready: Effect.Effect<void>
}

interface Account {
  /** When all calls so far would have been made, had they come one by one. */
  even: number
  connections: number
}

/** The rates of all agents that are connected, and of those that have left with calls to make up for. */
export const make = (perSecond: number) =>
  Effect.map(Clock.Clock, (clock) => {
    const interval = 1_000 / perSecond
    const nowMillis = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const accounts = new Map<AgentId, Account>()
    const debtors = new Set<AgentId>()

    const forgetWhoIsEven = (now: number) => {
      for (const agentId of debtors) {
        const account = accounts.get(agentId)
        if (account?.connections === 0 && account.even > now) continue
        debtors.delete(agentId)
        if (account?.connections === 0) accounts.delete(agentId)
      }
    }

    const enter = (agentId: AgentId) =>
      Effect.sync(() => {
        forgetWhoIsEven(nowMillis())
        const account = accounts.get(agentId) ?? { even: 0, connections: 0 }
        accounts.set(agentId, account)
        account.connections++
        return account
      })

    const leave = (agentId: AgentId, account: Account) =>
      Effect.sync(() => {
        account.connections--
        debtors.add(agentId)
        forgetWhoIsEven(nowMillis())
      })

    /** The rate of an agent, for one connection. */
    return Effect.fnUntraced(function* (agentId: AgentId): Effect.fn.Return<CallRate, never, Scope.Scope> {
      const account = yield* Effect.acquireRelease(enter(agentId), (account) => leave(agentId, account))
      return {
        spendUnsafe: () => {
          account.even = Math.max(account.even, nowMillis()) + interval
        },
        ready: Effect.suspend(() => {
          const ahead = account.even - nowMillis() - 1_000
          return ahead > 0 ? Effect.sleep(ahead) : Effect.void
        })
      }
    })
  })
