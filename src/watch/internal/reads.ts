/**
 * Reading the metadata of agents, for everyone of this process who watches one.
 *
 * - Reads are {@link RequestCoalescer}: one that nobody has read within the last {@link window} before is made at once, those
 *   that fall due until then are made together. So there is one statement in a window, however many watch; a second one
 *   for more than {@link maxAgents} agents. Who watches the same agent shares its rows.
 * - A read that fails fails for those who were in it, and for nobody else.
 */
import { Effect } from "effect"
import { MetadataStore } from "../../metadata/MetadataStore.ts"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { AgentMetadata } from "../../domain/Metadata.ts"

/** The least time from one statement to the next. */
export const window = "50 millis"

/** Agents in a statement. */
export const maxAgents = 200

/** Statements that are made at the same time, so that watchers leave connections to others. */
export const concurrency = 4

export const make = Effect.gen(function* () {
  const { readMany } = yield* MetadataStore
  const { request } = yield* RequestCoalescer.make({
    name: "MetadataWatch.read",
    window,
    maxSize: maxAgents,
    concurrency,
    keyOf: (agentId: AgentId) => agentId,
    call: (agentIds) =>
      Effect.map(
        readMany(agentIds),
        (found): ((agentId: AgentId) => ReadonlyArray<AgentMetadata>) =>
          (agentId) =>
            found.get(agentId) ?? []
      )
  })
  return request
})
