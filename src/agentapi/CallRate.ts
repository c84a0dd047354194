/**
 * How often agents may call.
 *
 * - An agent may make `perSecond` calls a second, over all its connections, and as many again at once after a pause.
 * - One that calls more often is not refused: what it sends is read as slowly as it may call, so that it stays with the
 *   agent and the network.
 */
import { Clock, Effect, type Scope } from "effect"
import type { AgentId } from "../domain/Ids.ts"

export interface CallRate {
  /** Counts a call. */
  readonly spend: Effect.Effect<void>
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
  Effect.sync(() => {
    const interval = 1_000 / perSecond
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
      Effect.map(Clock.currentTimeMillis, (now) => {
        forgetWhoIsEven(now)
        const account = accounts.get(agentId) ?? { even: 0, connections: 0 }
        accounts.set(agentId, account)
        account.connections++
        return account
      })

    const leave = (agentId: AgentId, account: Account) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        account.connections--
        debtors.add(agentId)
        forgetWhoIsEven(now)
      })

    /** The rate of an agent, for one connection. */
    return Effect.fnUntraced(function* (agentId: AgentId): Effect.fn.Return<CallRate, never, Scope.Scope> {
      const account = yield* Effect.acquireRelease(enter(agentId), (account) => leave(agentId, account))
      return {
        spend: Effect.map(Clock.currentTimeMillis, (now) => {
          account.even = Math.max(account.even, now) + interval
        }),
        ready: Effect.flatMap(Clock.currentTimeMillis, (now) =>
          account.even - now > 1_000 ? Effect.sleep(account.even - now - 1_000) : Effect.void
        )
      }
    })
  })
