import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, DateTime, Deferred, Effect, Fiber, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { type AgentId, ReplicaId } from "../../src/domain/Ids.ts"
import * as PgConnectionStore from "../../src/storage/PgConnectionStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { ConnectionStore } from "../../src/agentapi/ports/ConnectionStore.ts"

const at = (text: string) => DateTime.makeUnsafe(text)

const [first, last, gone] = [at("2030-01-01T00:00:00.123Z"), at("2030-01-02T00:00:00Z"), at("2030-01-03T00:00:00Z")]

layer(Layer.mergeAll(Layer.provideMerge(PgConnectionStore.layer, Postgres.layer), Reactivity.layer), {
  excludeTestServices: true
})("PgConnectionStore", (it) => {
  it.effect(
    "notes the times of an agent and its replica, and when that was, and of no other agent [CN-08, CN-16]",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const store = yield* ConnectionStore
        const [agentId, other] = yield* Seed.agents(2, [])
        const [one, next] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]
        yield* sql`UPDATE workspace_agents SET updated_at = '2020-01-01'`
        const rows = sql`
          SELECT
            first_connected_at AS first, last_connected_at AS last, disconnected_at AS gone,
            last_connected_replica_id AS replica, updated_at > '2020-01-01' AS updated
          FROM workspace_agents WHERE id IN ${sql.in([agentId, other])}
          ORDER BY id = ${other}`
        const untouched = { first: null, last: null, gone: null, replica: null, updated: false }
        const [firstAt, lastAt, goneAt] = [first, last, gone].map(DateTime.toDateUtc)

        yield* store.note({
          agentId,
          firstConnectedAt: first,
          lastConnectedAt: last,
          disconnectedAt: gone,
          replicaId: one
        })
        assert.deepStrictEqual(yield* rows, [
          { first: firstAt, last: lastAt, gone: goneAt, replica: one, updated: true },
          untouched
        ])

        yield* store.noteMany([
          { agentId, firstConnectedAt: first, lastConnectedAt: gone, disconnectedAt: null, replicaId: next }
        ])
        assert.deepStrictEqual(yield* rows, [
          { first: firstAt, last: goneAt, gone: null, replica: next, updated: true },
          untouched
        ])
      })
  )

  it.effect("calls a build the latest until its workspace has a newer one, and none that is gone [CN-12]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { note, noteMany } = yield* ConnectionStore
      const [one] = yield* Seed.agents(1, [])
      const [other, deleted] = yield* Seed.agents(2, [])
      const answers = Effect.gen(function* () {
        const many = yield* noteMany([one, other, deleted].map(noteOf))
        const alone = yield* Effect.forEach([one, other, deleted], (agentId) => note(noteOf(agentId)))
        return [[one, other, deleted].map((agentId) => many.get(agentId)), alone]
      })

      assert.deepStrictEqual(yield* answers, [
        [true, true, true],
        [true, true, true]
      ])
      yield* sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
          SELECT gen_random_uuid(), workspace_id, 2, 'stop'
          FROM workspace_builds AS build JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id
          WHERE agent.id = ${one}`
      yield* sql`DELETE FROM workspace_agents WHERE id = ${deleted}`
      assert.deepStrictEqual(yield* answers, [
        [false, true, undefined],
        [false, true, false]
      ])
    })
  )

  it.effect("notes many agents in one statement, and leaves out those that something else has locked", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { note, noteMany } = yield* ConnectionStore
      const agents = yield* Seed.agents(3, [])
      const [, locked] = agents
      const letGo = yield* Deferred.make<void>()
      const isLocked = yield* Deferred.make<void>()
      const locking = yield* sql`SELECT FROM workspace_agents WHERE id = ${locked} FOR UPDATE`.pipe(
        Effect.andThen(Deferred.succeed(isLocked, undefined)),
        Effect.andThen(Deferred.await(letGo)),
        sql.withTransaction,
        Effect.forkScoped
      )
      yield* Deferred.await(isLocked)

      const noted = yield* noteMany(agents.map(noteOf))
      assert.sameMembers(
        [...noted.keys()],
        agents.filter((agentId) => agentId !== locked)
      )
      const waiting = yield* Effect.forkScoped(note(noteOf(locked)), { startImmediately: true })
      yield* Deferred.succeed(letGo, undefined)
      assert.isTrue(yield* Fiber.join(waiting))
      yield* Fiber.join(locking)

      const rows = yield* sql`SELECT id FROM workspace_agents WHERE last_connected_at = ${DateTime.toDateUtc(last)}
          AND id IN ${sql.in(agents)}`
      assert.lengthOf(rows, 3)
    })
  )

  it.effect("never locks two replicas out that note the same agents in different orders, beside a change of all", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url } = yield* Postgres.TestDatabase
      const agents = yield* Seed.agents(50, [])
      const store = Effect.gen(function* () {
        const other = yield* PgClient.make({ url })
        return Context.get(
          yield* Layer.build(PgConnectionStore.layer).pipe(Effect.provideService(SqlClient.SqlClient, other)),
          ConnectionStore
        )
      })
      const [one, other] = [yield* store, yield* store]
      const write = (store: ConnectionStore["Service"], agents: ReadonlyArray<AgentId>) =>
        Effect.gen(function* () {
          const noted = yield* store.noteMany(agents.map(noteOf))
          const rest = agents.filter((agentId) => !noted.has(agentId))
          yield* Effect.forEach(rest, (agentId) => store.note(noteOf(agentId)), { concurrency: 5 })
        }).pipe(Effect.repeat({ times: 30 }))
      const change = sql`UPDATE workspace_agents SET auth_token_hash = sha256(uuid_send(gen_random_uuid()))`.pipe(
        Effect.repeat({ times: 30 })
      )

      yield* Effect.all([write(one, agents), write(other, agents.toReversed()), change], { concurrency: 3 })

      const rows = yield* sql`SELECT FROM workspace_agents WHERE last_connected_at IS NOT NULL
          AND id IN ${sql.in(agents)}`
      assert.lengthOf(rows, 50)
    })
  )
})

const noteOf = (agentId: AgentId) => ({
  agentId,
  firstConnectedAt: first,
  lastConnectedAt: last,
  disconnectedAt: null,
  replicaId: Seed.newId(ReplicaId)
})
