/** Reads of single agents that arrive together, as one statement: a fleet that reconnects makes few of them. */
import { Effect } from "effect"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"

/** Agents in a statement. */
const maxAgents = 1_000

/** Returns a read of one agent, made of a read of many. It takes one connection of the pool at a time. */
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
