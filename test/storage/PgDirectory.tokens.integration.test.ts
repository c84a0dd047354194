/** Tokens of agents, and tokens derived from them, when they are replaced. */
import { NodeCrypto } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { AccessStore } from "../../src/access/AccessStore.ts"
import * as Token from "../../src/access/Token.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as PgAccessStore from "../../src/storage/PgAccessStore.ts"
import * as PgDirectory from "../../src/storage/PgDirectory.ts"
import * as People from "../support/directory.ts"
import * as Postgres from "../support/Postgres.ts"
import { newId } from "../support/seed.ts"

const stores = Layer.mergeAll(PgAccessStore.layer, PgDirectory.layer).pipe(Layer.provideMerge(NodeCrypto.layer))

const agentWith = Effect.fnUntraced(function* (token: Token.Token) {
  const [found] = yield* (yield* AccessStore).agents([yield* Token.digest(token)])
  return Option.map(Option.fromUndefinedOr(found), ({ subject }) => subject.agentId)
})

layer(Layer.provideMerge(stores, Postgres.layer), { excludeTestServices: true })("PgDirectory", (it) => {
  it.effect("replaces the token of an agent: the old one is worth nothing from then on", () =>
    Effect.gen(function* () {
      const { rotateToken } = yield* Directory
      const { id, token } = yield* People.agent()
      const next = yield* Token.mint

      yield* rotateToken(id, yield* Token.digest(next))

      assert.deepStrictEqual(yield* agentWith(token), Option.none())
      assert.deepStrictEqual(yield* agentWith(next), Option.some(id))
    })
  )

  it.effect("takes the tokens of all sub-agents away with that of their parent, and of nobody else [SA-13]", () =>
    Effect.gen(function* () {
      const { rotateToken } = yield* Directory
      const sql = yield* SqlClient.SqlClient
      const [{ id }, stranger] = [yield* People.agent(), yield* People.agent()]
      const [child, grandchild] = [newId(AgentId), newId(AgentId)]
      const digest = (id: AgentId) => sql`
        SELECT encode(auth_token_hash, 'hex') AS digest FROM workspace_agents WHERE id = ${id}`
      for (const [parentId, subAgent] of [
        [id, child],
        [child, grandchild]
      ] as const) {
        yield* sql`
          INSERT INTO workspace_agents (id, parent_id, workspace_build_id, name, auth_token_hash)
          SELECT ${subAgent}, id, workspace_build_id, ${subAgent}, uuid_send(${subAgent})
          FROM workspace_agents WHERE id = ${parentId}`
      }
      const before = yield* Effect.all([digest(child), digest(grandchild), digest(stranger.id)])

      yield* rotateToken(id, yield* Token.digest(yield* Token.mint))

      const after = yield* Effect.all([digest(child), digest(grandchild), digest(stranger.id)])
      assert.notDeepEqual(after[0], before[0])
      assert.notDeepEqual(after[1], before[1])
      assert.notDeepEqual(after[0], after[1])
      assert.deepStrictEqual(after[2], before[2])
    })
  )

  it.effect("has no token for an agent that is missing, deleted, or of a deleted workspace", () =>
    Effect.gen(function* () {
      const { rotateToken } = yield* Directory
      const sql = yield* SqlClient.SqlClient
      const [deleted, homeless] = [yield* People.agent(), yield* People.agent()]
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deleted.id}`
      yield* sql`UPDATE workspaces SET deleted = true WHERE id = ${homeless.workspace.id}`
      const token = yield* Token.digest(yield* Token.mint)

      for (const id of [newId(AgentId), deleted.id, homeless.id]) {
        const error = yield* Effect.flip(rotateToken(id, token))
        assert.deepInclude(error, { _tag: "AgentNotFound", message: `there is no agent ${id}` })
      }
    })
  )
})
