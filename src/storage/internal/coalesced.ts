/**
 * Combines concurrent reads of single agents into one statement, so that a reconnecting fleet causes few statements.
 */
import { Effect } from "effect"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"

/** The maximum number of agents in one statement. */
const maxAgents = 1_000

/** Returns a read of one agent, built on a read of many agents. It uses one connection of the pool at a time. */
export const coalesced = <A, E>(
  name: string,
  read: (agentIds: ReadonlyArray<AgentId>) => Effect.Effect<(agentId: AgentId) => A, E>
): Effect.Effect<(agentId: AgentId) => Effect.Effect<A, E>> =>
  Effect.map(
    RequestCoalescer.make({
      name,
      window: 0,
      maxSize: maxAgents,
      concurrency: 1,
      keyOf: (agentId: AgentId) => agentId,
      call: read
    }),
    ({ request }) => request
  )
