/** The store of tests, by the rules of its port. */
import { layer } from "@effect/vitest"
import { Layer } from "effect"
import * as Fake from "../support/accessStore.ts"
import { identity, workspace } from "../support/identity.ts"
import { agent } from "../support/metadataBatcher.ts"
import { accessStoreSuite, Subjects } from "./storeSuite.ts"

const agents = [1, 2].map((number) => ({
  token: Fake.token(`of agent ${number}`),
  agentId: agent(number),
  ownerId: Fake.user(number).id,
  workspaceId: workspace.id
}))
const users = [3, 4].map((number) => ({ token: Fake.token(`of user ${number}`), ...Fake.user(number) }))

layer(
  Layer.merge(
    Layer.succeed(Subjects, { agents, users }),
    Fake.layer({
      agents: agents.map(({ agentId, token }) => [token, identity(agentId)] as const),
      users: users.map(({ token, ...user }) => [token, user] as const),
      owners: agents.map(({ agentId, ownerId }) => [agentId, ownerId] as const)
    })
  )
)("the access store of tests", accessStoreSuite)
