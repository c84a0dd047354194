/**
 * Reading the metadata of agents, for everyone of this process who watches one.
 *
 * - Reads are {@link SharedCalls}: one that nobody has read within the last {@link window} before is made at once, those
 *   that fall due until then are made together. So there is one statement in a window, however many watch; a second one
 *   for more than {@link maxAgents} agents. Who watches the same agent shares its rows.
 * - A read that fails fails for those who were in it, and for nobody else.
 * - A store that cannot read many agents in one go is asked for each of them.
 */
import { Effect } from "effect"
import { MetadataStore, type MetadataStoreError } from "../../metadata/MetadataStore.ts"
import * as SharedCalls from "../../batcher/RequestCoalescer.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { AgentMetadata } from "../../domain/Metadata.ts"

/** The least time from one statement to the next. */
export const window = "50 millis"

/** Agents in a statement. */
export const maxAgents = 200

/** Statements that are made at the same time, so that watchers leave connections to others. */
export const concurrency = 4

export const make = Effect.gen(function* () {
  const store = yield* MetadataStore
  const shared = (
    maxSize: number,
    call: SharedCalls.Options<AgentId, ReadonlyArray<AgentMetadata>, MetadataStoreError>["call"]
  ) => SharedCalls.make({ name: "MetadataWatch.read", window, maxSize, concurrency, keyOf: (agentId) => agentId, call })

  const { read, readMany } = store
  const { ask } =
    readMany === undefined
      ? yield* shared(1, ([agentId]) => Effect.map(read(agentId!), (rows) => () => rows))
      : yield* shared(maxAgents, (agentIds) =>
          Effect.map(readMany(agentIds), (found) => (agentId) => found.get(agentId) ?? [])
        )
  return ask
})
