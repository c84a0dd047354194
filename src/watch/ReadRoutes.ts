/** The handlers of {@link ReadApi}, for users who may read the agent. */
import { Effect, Layer, Option } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Access } from "../access/Access.ts"
import { AgentNotFound } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import { AgentContextStore } from "../agentapi/ports/AgentContextStore.ts"
import type { AgentId } from "../domain/Ids.ts"
import { failWith, type StoreError } from "../domain/StoreError.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import { AgentReader } from "./AgentReader.ts"
import { AgentUnavailable, ContextNotFound, ReadApi } from "./ReadApi.ts"

const handlers = HttpApiBuilder.group(
  ReadApi,
  "read",
  Effect.fnUntraced(function* (handlers) {
    const access = yield* Access
    const agents = yield* AgentReader
    const contexts = yield* AgentContextStore

    /** Reads something of an agent for the user of the request. */
    const read = Effect.fnUntraced(
      function* <A, E>(agentId: AgentId, found: Effect.Effect<Option.Option<A>, StoreError>, missing: () => E) {
        yield* access.mayRead(yield* Authentication.CurrentUser, agentId)
        const value = yield* Effect.catch(found, unavailable)
        return Option.isSome(value) ? value.value : yield* Effect.fail(missing())
      },
      (self, agentId) => Effect.annotateLogs(self, { agentId })
    )

    return handlers
      .handle("agent", ({ params: { agent } }) =>
        read(agent, agents.find(agent), () => new AgentNotFound({ message: `there is no agent ${agent}` }))
      )
      .handle("context", ({ params: { agent } }) =>
        read(agent, contexts.find(agent), () => new ContextNotFound({ message: "the agent has sent no context" }))
      )
  })
)

export const layer = HttpApiBuilder.layer(ReadApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, layerRequestValidation])
)

// ----- internals -----

const unavailable: (error: StoreError) => Effect.Effect<never, AgentUnavailable> = failWith(
  (message) => new AgentUnavailable({ message })
)
