/**
 * Reads the metadata of agents for all watchers of this process.
 *
 * - A read goes at once when no statement began within the last {@link window}; otherwise it waits for the end of that
 *   window. So there is one statement per window, however many watchers there are, and one more per {@link maxAgents}
 *   agents. Watchers of the same agent share its rows.
 * - A read that fails fails for the watchers that were in it, and for no others.
 */
import { Effect } from "effect"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { AgentMetadata } from "../../domain/Metadata.ts"
import { MetadataStore } from "../../metadata/MetadataStore.ts"

/** The least time from one statement to the next. */
export const window = "50 millis"

/** The most agents of one statement. */
export const maxAgents = 200

/** The most statements at a time, so that watchers leave connections to others. */
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
