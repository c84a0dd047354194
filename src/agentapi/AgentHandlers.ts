/** All that answers an agent: the sub-APIs, one line each. */
import { Effect } from "effect"
import { AgentApi } from "./AgentApi.ts"
import * as Metadata from "./Metadata.ts"

export const layer = AgentApi.toLayer(
  Effect.gen(function* () {
    return AgentApi.of({
      ...(yield* Metadata.make)
    })
  })
)
