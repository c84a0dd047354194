/** The rules that every store of tokens and rights keeps, so that the one of tests is not kinder than the real one. */
import { assert, type layer } from "@effect/vitest"
import { Context, Effect } from "effect"
import { AccessStore } from "../../src/access/AccessStore.ts"
import type { Token } from "../../src/access/Token.ts"
import { AgentId, type UserId, type WorkspaceId } from "../../src/domain/Ids.ts"
import { digestOf, token } from "../support/accessStore.ts"
import { newId } from "../support/seed.ts"

/** Two agents and two users that the store under test knows. */
export class Subjects extends Context.Service<
  Subjects,
  {
    readonly agents: ReadonlyArray<{
      readonly token: Token
      readonly agentId: AgentId
      readonly ownerId: UserId
      readonly workspaceId: WorkspaceId
    }>
    readonly users: ReadonlyArray<{ readonly token: Token; readonly id: UserId; readonly username: string }>
  }
>()("test/access/Subjects") {}

type It = Parameters<Parameters<ReturnType<typeof layer<AccessStore | Subjects, unknown>>>[1] & {}>[0]

export const accessStoreSuite = (it: It) => {
  it.effect("finds agents and users by their tokens, and nobody for another token [FT-61]", () =>
    Effect.gen(function* () {
      const store = yield* AccessStore
      const { agents, users } = yield* Subjects
      const digests = [token("unknown"), ...agents.map(({ token }) => token), ...users.map(({ token }) => token)].map(
        digestOf
      )

      const foundAgents = yield* store.agents(digests)
      const foundUsers = yield* store.users(digests)

      assert.sameDeepMembers(
        foundAgents.map(({ digest, subject }) => [digest, subject.agentId]),
        agents.map(({ agentId, token }) => [digestOf(token), agentId])
      )
      assert.sameDeepMembers(
        foundUsers.map(({ digest, subject }) => [digest, subject.id, subject.username]),
        users.map(({ id, token, username }) => [digestOf(token), id, username])
      )
    })
  )

  it.effect("finds a token once that is asked for twice, and nobody for no token", () =>
    Effect.gen(function* () {
      const store = yield* AccessStore
      const { agents, users } = yield* Subjects
      const twice = (token: Token) => [digestOf(token), digestOf(token)]

      assert.lengthOf(yield* store.agents(twice(agents[0]!.token)), 1)
      assert.lengthOf(yield* store.users(twice(users[0]!.token)), 1)
      assert.deepStrictEqual([...(yield* store.agents([])), ...(yield* store.users([]))], [])
    })
  )

  it.effect("tells who owns agents, and nothing of agents that it does not know", () =>
    Effect.gen(function* () {
      const store = yield* AccessStore
      const { agents } = yield* Subjects
      const ownerships = agents.map(({ agentId, ownerId, workspaceId }) => ({ agentId, ownerId, workspaceId }))
      const ids = agents.map(({ agentId }) => agentId)

      assert.sameDeepMembers([...(yield* store.ownerships([...ids, newId(AgentId)]))], ownerships)
      assert.deepStrictEqual(yield* store.ownerships([ids[1]!, ids[1]!]), [ownerships[1]!])
      assert.deepStrictEqual(yield* store.ownerships([]), [])
    })
  )
}
