import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { type AppStatus, AppStore } from "../../src/agentapi/ports/AppStore.ts"
import type { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as PgAppStore from "../../src/storage/PgAppStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const environment = PgAppStore.layer.pipe(Layer.provideMerge(Postgres.layer), Layer.provideMerge(Reactivity.layer))

const at = (minute: number) => DateTime.makeUnsafe(Date.UTC(2031, 4, 1, 12, minute))

const status = (minute: number, state: AppStatus["state"], overrides: Partial<AppStatus> = {}): AppStatus => ({
  slug: "claude",
  state,
  message: "busy",
  uri: null,
  createdAt: at(minute),
  ...overrides
})

const workspaceOf = Effect.fnUntraced(function* (agentId: AgentId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ id: WorkspaceId }>`
    SELECT workspace_id AS id FROM workspace_builds
    WHERE id = (SELECT workspace_build_id FROM workspace_agents WHERE id = ${agentId})`
  return row!.id
})

const healths = Effect.fnUntraced(function* (agentId: AgentId) {
  const found = yield* AppStore.use((store) => store.healths(agentId))
  return Object.fromEntries(found.map(({ health, id, isChecked }) => [id, [health, isChecked]]))
})

layer(environment, { excludeTestServices: true })("PgAppStore", (it) => {
  it.effect("reads the health of an agent's apps, and whether they have a health check [AA-04]", () =>
    Effect.gen(function* () {
      const [agent, other] = yield* Seed.agents(2, [])
      const checked = yield* Seed.app(agent, "web", { health: "healthy", healthcheck_url: "http://localhost:80" })
      const unchecked = yield* Seed.app(agent, "term")
      yield* Seed.app(other, "web")

      assert.deepStrictEqual(yield* healths(agent), {
        [checked]: ["healthy", true],
        [unchecked]: ["disabled", false]
      })
    })
  )

  it.effect("writes the health of several apps in one call, and of no other agent's [AA-07]", () =>
    Effect.gen(function* () {
      const store = yield* AppStore
      const [agent, other] = yield* Seed.agents(2, [])
      const one = yield* Seed.app(agent, "one")
      const two = yield* Seed.app(agent, "two")
      const three = yield* Seed.app(agent, "three")
      const foreign = yield* Seed.app(other, "one")

      yield* store.setHealths(agent, [
        { id: one, health: "healthy" },
        { id: two, health: "unhealthy" },
        { id: foreign, health: "unhealthy" }
      ])

      assert.deepStrictEqual(yield* healths(agent), {
        [one]: ["healthy", false],
        [two]: ["unhealthy", false],
        [three]: ["disabled", false]
      })
      assert.deepStrictEqual(yield* healths(other), { [foreign]: ["disabled", false] })
    })
  )

  it.effect("finds no app of a slug that the agent does not have, and adds nothing [AA-10]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { addStatus } = yield* AppStore
      const [agent, other] = yield* Seed.agents(2, [])
      const workspace = yield* workspaceOf(agent)
      yield* Seed.app(other, "claude")

      assert.deepStrictEqual(yield* addStatus(agent, workspace, status(1, "working")), Option.none())
      assert.deepStrictEqual(yield* sql`SELECT id FROM workspace_app_statuses WHERE workspace_id = ${workspace}`, [])
    })
  )

  it.effect("adds a row for every status, the same ones too [AA-12]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { addStatus } = yield* AppStore
      const [agent] = yield* Seed.agents(1, [])
      const workspace = yield* workspaceOf(agent)
      const app = yield* Seed.app(agent, "claude")

      yield* addStatus(agent, workspace, status(1, "idle", { uri: "https://example.com" }))
      yield* addStatus(agent, workspace, status(2, "idle"))
      yield* addStatus(agent, workspace, status(3, "idle"))

      const rows = yield* sql`
        SELECT app_id AS "appId", workspace_id AS "workspaceId", state, message, uri, created_at AS "createdAt"
        FROM workspace_app_statuses WHERE agent_id = ${agent} ORDER BY created_at`
      const same = { appId: app, workspaceId: workspace, state: "idle", message: "busy" }
      assert.deepStrictEqual(
        rows,
        [1, 2, 3].map((minute) => ({
          ...same,
          uri: minute === 1 ? "https://example.com" : null,
          createdAt: DateTime.toDateUtc(at(minute))
        }))
      )
    })
  )

  it.effect("returns the state before, whether the agent is ready, and the task of the app alone [AA-14]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { addStatus } = yield* AppStore
      const [agent] = yield* Seed.agents(1, [])
      const workspace = yield* workspaceOf(agent)
      const claude = yield* Seed.app(agent, "claude")
      const web = yield* Seed.app(agent, "web")

      const first = yield* addStatus(agent, workspace, status(1, "working"))
      yield* sql`
        INSERT INTO tasks (id, workspace_id, workspace_app_id, name)
        VALUES (gen_random_uuid(), ${workspace}, ${claude}, 'fix it')`
      yield* sql`UPDATE workspace_agents SET lifecycle_state = 'ready' WHERE id = ${agent}`
      const second = yield* addStatus(agent, workspace, status(2, "idle"))
      const third = yield* addStatus(agent, workspace, status(3, "complete"))
      const other = yield* addStatus(agent, workspace, status(4, "idle", { slug: "web" }))

      const task = { name: "fix it" }
      assert.deepStrictEqual([first, second, third, other].map(Option.getOrThrow), [
        { appId: claude, previous: null, isAgentReady: false, task: null },
        { appId: claude, previous: "working", isAgentReady: true, task },
        { appId: claude, previous: "idle", isAgentReady: true, task },
        { appId: web, previous: null, isAgentReady: true, task: null }
      ])
    })
  )
})
