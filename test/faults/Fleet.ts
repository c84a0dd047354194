/**
 * Agents that number their samples and write into the ledger what the service has accepted.
 *
 * An agent that loses its connection, or gets no answer, connects again; to where, its address says each time anew.
 */
import { Clock, Effect, FiberSet, Queue, Ref } from "effect"
import * as Token from "../../src/access/Token.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as Agent from "../support/agent.ts"
import * as Client from "../support/client.ts"
import type { Ledger } from "./Ledger.ts"
import * as Replica from "./Replica.ts"

export interface Options {
  readonly ledger: Ledger
  /** Where to declare the agents. */
  readonly url: string
  readonly agents: number
  readonly keys: number
}

export interface Load {
  /** Where an agent connects, asked each time that it does. */
  readonly to: (agent: number) => string
  /** Milliseconds between two reports. */
  readonly every: number
  /** After how many reports an agent connects anew; by default never of its own will. */
  readonly hopAfter?: number | undefined
  /** How many of the agents report; by default all. */
  readonly only?: number | undefined
  /** What follows the number in a value. */
  readonly padding?: string | undefined
}

export interface Member {
  readonly index: number
  readonly id: AgentId
  readonly token: string
}

export type Fleet = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function* ({ agents, keys: count, ledger, url }: Options) {
  const keys = Array.from({ length: count }, (_, index) => `key-${index}`)
  const declared = yield* Client.agents(url, Replica.adminToken, agents, keys)
  const members = declared.map(({ id, token }, index): Member => ({ index, id, token }))
  const reports = yield* Ref.make(0)

  const session = Effect.fnUntraced(function* ({ id, index, token }: Member, load: Load) {
    const connection = yield* Agent.connect(load.to(index), { [Token.header]: token })
    const report = Effect.gen(function* () {
      const number = ledger.next(id)
      const value = `${number}${load.padding ?? ""}`
      const frame = Agent.report(String(number), ...keys.map((key) => Agent.sample(key, value)))
      yield* connection.send(frame)
      const answer = yield* Effect.timeout(Queue.take(connection.messages), "10 seconds")
      if (!answer.includes('"Success"')) return
      yield* ledger.accept(id, keys, number)
      yield* Ref.update(reports, (count) => count + 1)
    })
    return yield* Effect.repeat(Effect.delay(report, load.every), { times: (load.hopAfter ?? Infinity) - 1 })
  }, Effect.scoped)

  /** Agents at work until the effect that is given ends. */
  const whileReporting = Effect.fnUntraced(function* <A, E, R>(load: Load, self: Effect.Effect<A, E, R>) {
    const fibers = yield* FiberSet.make()
    for (const member of members) {
      if (member.index >= (load.only ?? Infinity)) continue
      yield* FiberSet.run(
        fibers,
        session(member, load).pipe(
          Effect.catch(() => Effect.sleep("200 millis")),
          Effect.forever
        )
      )
    }
    return yield* self
  }, Effect.scoped)

  return {
    ids: members.map(({ id }) => id),
    members,
    keys,
    /** Reports that were accepted. */
    reports: Ref.get(reports),
    whileReporting,
    now: Clock.currentTimeMillis
  }
})
