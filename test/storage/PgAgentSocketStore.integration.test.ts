import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, DateTime, Deferred, Duration, Effect, Fiber, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { type AgentId, ReplicaId } from "../../src/domain/Ids.ts"
import * as PgAgentSocketStore from "../../src/storage/PgAgentSocketStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type AgentSocketRecord, AgentSocketStore } from "../../src/agentapi/ports/AgentSocketStore.ts"

const at = (text: string) => DateTime.makeUnsafe(text)

const [first, last, gone] = [at("2030-01-01T00:00:00.123Z"), at("2030-01-02T00:00:00Z"), at("2030-01-03T00:00:00Z")]

layer(Layer.mergeAll(Layer.provideMerge(PgAgentSocketStore.layer, Postgres.layer), Reactivity.layer), {
  excludeTestServices: true
})("PgAgentSocketStore", (it) => {
  it.effect("records the times of an agent and its replica, and those of no other agent [CN-08, CN-16]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* AgentSocketStore
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

      yield* store.recordHeartbeat({
        phase: "start",
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

      yield* store.recordHeartbeats([
        {
          phase: "start",
          agentId,
          firstConnectedAt: first,
          lastConnectedAt: gone,
          disconnectedAt: null,
          replicaId: next
        }
      ])
      assert.deepStrictEqual(yield* rows, [
        { first: firstAt, last: goneAt, gone: null, replica: next, updated: true },
        untouched
      ])
    })
  )

  it.effect("returns latest until the workspace has a newer build, and outdated for a deleted agent [CN-12]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { recordHeartbeat, recordHeartbeats } = yield* AgentSocketStore
      const [one] = yield* Seed.agents(1, [])
      const [other, deleted] = yield* Seed.agents(2, [])
      const results = Effect.gen(function* () {
        const many = yield* recordHeartbeats([one, other, deleted].map(recordOf))
        const alone = yield* Effect.forEach([one, other, deleted], (agentId) => recordHeartbeat(recordOf(agentId)))
        return [[one, other, deleted].map((agentId) => many.get(agentId)), alone]
      })

      assert.deepStrictEqual(yield* results, [
        ["latest", "latest", "latest"],
        ["latest", "latest", "latest"]
      ])
      yield* sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
          SELECT gen_random_uuid(), workspace_id, 2, 'stop'
          FROM workspace_builds AS build JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id
          WHERE agent.id = ${one}`
      yield* sql`DELETE FROM workspace_agents WHERE id = ${deleted}`
      assert.deepStrictEqual(yield* results, [
        ["outdated", "latest", undefined],
        ["outdated", "latest", "outdated"]
      ])
    })
  )

  it.effect("records many agents in one statement, and skips those whose rows are locked", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { recordHeartbeat, recordHeartbeats } = yield* AgentSocketStore
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

      const recorded = yield* recordHeartbeats(agents.map(recordOf))
      assert.sameMembers(
        [...recorded.keys()],
        agents.filter((agentId) => agentId !== locked)
      )
      const waiting = yield* Effect.forkScoped(recordHeartbeat(recordOf(locked)), { startImmediately: true })
      yield* Deferred.succeed(letGo, undefined)
      assert.strictEqual(yield* Fiber.join(waiting), "latest")
      yield* Fiber.join(locking)

      const rows = yield* sql`SELECT id FROM workspace_agents WHERE last_connected_at = ${DateTime.toDateUtc(last)}
          AND id IN ${sql.in(agents)}`
      assert.lengthOf(rows, 3)
    })
  )

  it.effect("records no end and no heartbeat of a replica while the agent is connected to another one [FT-20]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { recordHeartbeat, recordHeartbeats } = yield* AgentSocketStore
      const [agentId] = yield* Seed.agents(1, [])
      const [old, next] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]
      const later = (seconds: number) => DateTime.addDuration(last, Duration.seconds(seconds))
      const record = (replicaId: ReplicaId, phase: AgentSocketRecord["phase"], seconds: number) => ({
        ...recordOf(agentId),
        replicaId,
        phase,
        lastConnectedAt: later(seconds),
        disconnectedAt: phase === "end" ? later(seconds) : null
      })
      const row = Effect.map(
        sql<{ replica: string; gone: Date | null }>`
          SELECT last_connected_replica_id AS replica, disconnected_at AS gone
          FROM workspace_agents WHERE id = ${agentId}`,
        ([row]) => [row!.replica, row!.gone === null]
      )

      yield* recordHeartbeat(record(old, "start", 0))
      yield* recordHeartbeat(record(next, "start", 1))
      assert.strictEqual(yield* recordHeartbeat(record(old, "heartbeat", 15)), "replaced")
      const many = yield* recordHeartbeats([record(old, "end", 20)])
      assert.strictEqual(many.get(agentId), "replaced")
      assert.deepStrictEqual(yield* row, [next, true])

      // the newer connection ends, and the older one is still there
      yield* recordHeartbeat(record(next, "end", 25))
      assert.deepStrictEqual(yield* row, [next, false])
      assert.strictEqual(yield* recordHeartbeat(record(old, "heartbeat", 30)), "latest")
      assert.deepStrictEqual(yield* row, [old, true])

      // a replica that has died records no end
      yield* recordHeartbeat(record(next, "start", 35))
      assert.strictEqual(yield* recordHeartbeat(record(old, "heartbeat", 90)), "replaced")
      assert.strictEqual(yield* recordHeartbeat(record(old, "heartbeat", 96)), "latest")
      assert.deepStrictEqual(yield* row, [old, true])
    })
  )

  it.effect(
    "never deadlocks two replicas that record the same agents in different orders, beside a change of all",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* Postgres.TestDatabase
        const agents = yield* Seed.agents(50, [])
        const store = Effect.gen(function* () {
          const other = yield* PgClient.make({ url })
          return Context.get(
            yield* Layer.build(PgAgentSocketStore.layer).pipe(Effect.provideService(SqlClient.SqlClient, other)),
            AgentSocketStore
          )
        })
        const [one, other] = [yield* store, yield* store]
        const write = (store: AgentSocketStore["Service"], agents: ReadonlyArray<AgentId>) =>
          Effect.gen(function* () {
            const recorded = yield* store.recordHeartbeats(agents.map(recordOf))
            const rest = agents.filter((agentId) => !recorded.has(agentId))
            yield* Effect.forEach(rest, (agentId) => store.recordHeartbeat(recordOf(agentId)), { concurrency: 5 })
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

const recordOf = (agentId: AgentId) => ({
  phase: "start" as const,
  agentId,
  firstConnectedAt: first,
  lastConnectedAt: last,
  disconnectedAt: null,
  replicaId: Seed.newId(ReplicaId)
})
