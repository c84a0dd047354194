import { assert, layer } from "@effect/vitest"
import { DateTime, Deferred, Effect, Fiber, Layer, Option } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import type { AgentId, BuildId } from "../../src/domain/Ids.ts"
import { prebuildsUserId } from "../../src/domain/Workspace.ts"
import * as PgLifecycleStore from "../../src/storage/PgLifecycleStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type LifecycleChange, LifecycleStore } from "../../src/agentapi/ports/LifecycleStore.ts"

const environment = PgLifecycleStore.layer.pipe(
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(Reactivity.layer)
)

const at = (minute: number) => DateTime.makeUnsafe(Date.UTC(2031, 4, 1, 12, minute))

const change = (agentId: AgentId, change: LifecycleChange) =>
  LifecycleStore.use((store) => store.change(agentId, change))

const starting = (agentId: AgentId, minute: number) =>
  change(agentId, { state: "starting", changedAt: at(minute), startedAt: "set", readyAt: "clear" })

const ended = (agentId: AgentId, minute: number, state: "ready" | "start_timeout" | "start_error" = "ready") =>
  change(agentId, { state, changedAt: at(minute), startedAt: "set if missing", readyAt: "set" })

const stored = Effect.fnUntraced(function* (agentId: AgentId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ state: string; startedAt: Date | null; readyAt: Date | null }>`
    SELECT lifecycle_state AS state, started_at AS "startedAt", ready_at AS "readyAt"
    FROM workspace_agents WHERE id = ${agentId}`
  return [
    row!.state,
    ...[row!.startedAt, row!.readyAt].map((time) => time && (time.getTime() - at(0).epochMilliseconds) / 60_000)
  ]
})

const buildOf = Effect.fnUntraced(function* (agentId: AgentId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ id: BuildId }>`
    UPDATE workspace_builds SET created_at = ${DateTime.toDateUtc(at(0))}
    WHERE id = (SELECT workspace_build_id FROM workspace_agents WHERE id = ${agentId})
    RETURNING id`
  return row!.id
})

layer(environment, { excludeTestServices: true })("PgLifecycleStore", (it) => {
  it.effect("sets the start and clears readiness, of the one agent [LC-02]", () =>
    Effect.gen(function* () {
      const [agent, other] = yield* Seed.agents(2, [])
      yield* ended(agent, 1)

      yield* starting(agent, 2)

      assert.deepStrictEqual(yield* stored(agent), ["starting", 2, null])
      assert.deepStrictEqual(yield* stored(other), ["created", null, null])
    })
  )

  it.effect("sets readiness, and the start only where it is missing [LC-03]", () =>
    Effect.gen(function* () {
      const [agent, late] = yield* Seed.agents(2, [])
      yield* starting(agent, 1)

      yield* ended(agent, 2, "start_timeout")
      yield* ended(late, 3, "start_error")

      assert.deepStrictEqual(yield* stored(agent), ["start_timeout", 1, 2])
      assert.deepStrictEqual(yield* stored(late), ["start_error", 3, 3])
    })
  )

  it.effect("keeps both times on request [LC-04]", () =>
    Effect.gen(function* () {
      const [agent] = yield* Seed.agents(1, [])
      yield* starting(agent, 1)
      yield* ended(agent, 2)

      yield* change(agent, { state: "shutting_down", changedAt: at(3), startedAt: "keep", readyAt: "keep" })

      assert.deepStrictEqual(yield* stored(agent), ["shutting_down", 1, 2])
    })
  )

  it.effect("keeps what an agent has introduced itself with, its API version too [LC-10]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [agent] = yield* Seed.agents(1, [])
      const startup = {
        version: "v2.31.0",
        apiVersion: "2.8",
        expandedDirectory: "/home/ada",
        subsystems: ["envbox", "exectrace"]
      }

      yield* LifecycleStore.use((store) => store.introduce(agent, startup))

      assert.deepStrictEqual(
        yield* sql`
          SELECT version, api_version AS "apiVersion", expanded_directory AS "expandedDirectory", subsystems
          FROM workspace_agents WHERE id = ${agent}`,
        [startup]
      )
    })
  )

  it.effect("keeps what many agents introduce themselves with in two statements, around a locked row [FT-42]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { introduce } = yield* LifecycleStore
      const agents = yield* Seed.agents(100, [])
      const [locked] = agents
      const startup = (version: string) => ({ version, apiVersion: "2.8", expandedDirectory: "", subsystems: [] })
      const made: Array<string> = []
      const note: Statement.Transformer = (statement) =>
        Effect.sync(() => {
          made.push(statement.compile()[0])
          return statement
        })
      const unlock = yield* Deferred.make<void>()
      const isLocked = yield* Deferred.make<void>()
      yield* sql`SELECT FROM workspace_agents WHERE id = ${locked} FOR UPDATE`.pipe(
        Effect.andThen(Deferred.succeed(isLocked, undefined)),
        Effect.andThen(Deferred.await(unlock)),
        sql.withTransaction,
        Effect.forkScoped
      )
      yield* Deferred.await(isLocked)

      const waiting = yield* Effect.forkScoped(introduce(locked, startup("crowd late")))
      yield* Effect.forEach(agents.slice(1), (agent) => introduce(agent, startup(`crowd ${agent}`)), {
        concurrency: "unbounded"
      }).pipe(Effect.provideService(Statement.CurrentTransformer, note))
      const found = sql`SELECT id FROM workspace_agents WHERE version LIKE 'crowd %'`
      assert.strictEqual((yield* found).length, 99)
      assert.isAtMost(made.length, 2)

      yield* Deferred.succeed(unlock, undefined)
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* found).length, 100)
    })
  )

  it.effect("fails for the agent alone whose introduction the database rejects [FT-42]", () =>
    Effect.gen(function* () {
      const { introduce } = yield* LifecycleStore
      const [one, bad, other] = yield* Seed.agents(3, [])
      const startup = (version: string) => ({ version, apiVersion: "2.8", expandedDirectory: "", subsystems: [] })

      const failed = yield* Effect.forEach(
        [introduce(one, startup("v1")), introduce(bad, startup("a\0b")), introduce(other, startup("v1"))],
        Effect.isFailure,
        { concurrency: "unbounded" }
      )

      assert.deepStrictEqual(failed, [false, true, false])
    })
  )

  it.effect("completes the startup of a build when its last agent has ended, once for ever [LC-11]", () =>
    Effect.gen(function* () {
      const { completeStartup } = yield* LifecycleStore
      const [first, second, third] = yield* Seed.agents(3, [])
      const build = yield* buildOf(first)

      yield* ended(first, 1, "start_timeout")
      yield* ended(second, 7)
      assert.deepStrictEqual(yield* completeStartup(build), Option.none())

      yield* ended(third, 5)
      const found = yield* Effect.all(
        Array.from({ length: 8 }, () => completeStartup(build)),
        { concurrency: "unbounded" }
      )
      const [completed, ...more] = found.filter(Option.isSome)
      assert.deepStrictEqual(more, [])
      const { organizationName, ...rest } = completed!.value
      assert.match(organizationName, /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual(rest, {
        createdAt: at(0),
        readyAt: at(7),
        templateName: "docker",
        transition: "start",
        status: "timeout",
        isPrebuild: false
      })

      yield* starting(first, 8)
      yield* ended(first, 9)
      assert.deepStrictEqual(yield* completeStartup(build), Option.none())
    })
  )

  it.effect("counts the worst agent, no sub-agent, no deleted one, and knows prebuilds [LC-11]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { completeStartup } = yield* LifecycleStore
      const [good, slow, bad, child, gone] = yield* Seed.agents(5, [])
      const build = yield* buildOf(good)
      yield* sql`UPDATE workspace_agents SET parent_id = ${good} WHERE id = ${child}`
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${gone}`
      yield* sql`
        UPDATE workspaces SET owner_id = ${prebuildsUserId}, name = ${build}
        WHERE id = (SELECT workspace_id FROM workspace_builds WHERE id = ${build})`

      yield* ended(good, 1)
      yield* ended(slow, 1, "start_timeout")
      yield* ended(bad, 1, "start_error")

      const completed = yield* Effect.flatMap(completeStartup(build), Effect.fromOption)
      assert.deepInclude(completed, { status: "error", isPrebuild: true })
    })
  )
})
