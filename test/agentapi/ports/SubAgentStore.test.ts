/** The store of sub-agents of tests, by the rules of its port. */
import { layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Token } from "../../../src/access/Token.ts"
import { SubAgentStore } from "../../../src/agentapi/ports/SubAgentStore.ts"
import { AgentId } from "../../../src/domain/Ids.ts"
import { digestOf, token } from "../../support/accessStore.ts"
import { newId } from "../../support/seed.ts"
import { memory } from "../../support/subAgents.ts"
import { Parents, subAgentStoreSuite } from "./subAgentStoreSuite.ts"

const tokens = new Map<AgentId, Token>()

const agentToken = () => {
  const id = newId(AgentId)
  const shown = token(`of ${id}`)
  tokens.set(id, shown)
  return { id, digest: digestOf(shown) }
}

layer(
  Layer.merge(
    Layer.sync(SubAgentStore, () => memory(tokens).store),
    Layer.succeed(Parents, { create: Effect.sync(() => ({ parent: agentToken(), neighbour: agentToken() })) })
  )
)("the store of sub-agents of tests", subAgentStoreSuite)
