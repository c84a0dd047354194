/** Usage that people's programs report, over a whole service. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { zeroCounters } from "../../src/usage/AgentStats.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import type * as Token from "../../src/access/Token.ts"
import { type AgentId, type WorkspaceId, WorkspaceId as WorkspaceIds } from "../../src/domain/Ids.ts"
import * as Server from "../../src/Server.ts"
import { UsageTracker } from "../../src/usage/UsageTracker.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Prometheus from "../support/prometheus.ts"
import { newId } from "../support/seed.ts"
import * as Service from "../support/service.ts"

/** Marks a workspace, and answers the status and the problem, if there is one. */
const mark = Effect.fnUntraced(function* (workspace: WorkspaceId | string, token: Token.Token, body?: object) {
  const request = HttpClientRequest.post(`/api/v2/workspaces/${workspace}/usage`, { headers: People.showing(token) })
  const response = yield* HttpClient.execute(
    body === undefined ? request : HttpClientRequest.bodyJsonUnsafe(request, body)
  )
  const text = yield* response.text
  return { status: response.status, problem: text === "" ? undefined : (JSON.parse(text) as Record<string, unknown>) }
})

/** Whether a workspace was ever used, once what is noted is written. */
const wasUsed = Effect.fnUntraced(function* (id: WorkspaceId) {
  yield* (yield* UsageTracker).flush
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ used: boolean }>`SELECT last_used_at > created_at AS used FROM workspaces WHERE id = ${id}`
  return row!.used
})

/** The reports of an agent that are stored, once what is kept is written. */
const reportsOf = Effect.fnUntraced(function* (id: AgentId) {
  yield* (yield* StatsBatcher).flush
  const sql = yield* PgClient.PgClient
  return yield* sql<{ usage: boolean; ssh: number; vscode: number; connections: number; user: string }>`
    SELECT usage, session_count_ssh::int4 AS ssh, session_count_vscode::int4 AS vscode,
      connection_count::int4 AS connections, user_id AS user
    FROM workspace_agent_stats WHERE agent_id = ${id}`
})

layer(Service.layer, { excludeTestServices: true })("usage", (it) => {
  it.effect("marks a workspace for its owner and for an administrator, with a body and without [UT-21]", () =>
    Effect.gen(function* () {
      const { id, owner, workspace } = yield* People.agent()
      const other = yield* People.agent()
      const administrator = yield* People.user({ isAdmin: true })

      assert.isFalse(yield* wasUsed(workspace.id))
      assert.deepStrictEqual(yield* mark(workspace.id, owner.token), { status: 204, problem: undefined })
      assert.isTrue(yield* wasUsed(workspace.id))
      assert.isFalse(yield* wasUsed(other.workspace.id))
      assert.strictEqual((yield* mark(other.workspace.id, administrator.token, {})).status, 204)
      assert.isTrue(yield* wasUsed(other.workspace.id))

      // sessions are for agents to report
      assert.strictEqual((yield* mark(workspace.id, owner.token, { agent_id: id, app_name: "ssh" })).status, 204)
      assert.deepStrictEqual(yield* reportsOf(id), [])
    })
  )

  it.effect("hides a workspace from everyone else, and takes a token first [UT-21]", () =>
    Effect.gen(function* () {
      const { token, workspace } = yield* People.agent()
      const stranger = yield* People.user()

      for (const id of [workspace.id, newId(WorkspaceIds)]) {
        assert.deepInclude(yield* mark(id, stranger.token), {
          status: 404,
          problem: { _tag: "WorkspaceNotFound", message: `there is no workspace ${id}` }
        })
      }
      assert.strictEqual((yield* mark(workspace.id, token)).status, 401)
      assert.isFalse(yield* wasUsed(workspace.id))
    })
  )

  it.effect("names the problem of a request", () =>
    Effect.gen(function* () {
      const { id, owner, workspace } = yield* People.agent()
      const problemOf = (body: object) =>
        Effect.map(mark(workspace.id, owner.token, body), ({ problem, status }) => [status, JSON.stringify(problem)])

      for (const [body, problem] of [
        [{ agent_id: id }, "Expected agent_id and app_name, or neither"],
        [{ app_name: "ssh" }, "Expected agent_id and app_name, or neither"],
        [{ agent_id: id, app_name: "emacs" }, "app_name"],
        [{ agent_id: "mine", app_name: "ssh" }, "a UUID"]
      ] as const) {
        const [status, text] = yield* problemOf(body)
        assert.strictEqual(status, 400)
        assert.include(text, problem)
      }
      assert.strictEqual((yield* mark("mine", owner.token)).status, 400)
      assert.isFalse(yield* wasUsed(workspace.id))
    })
  )

  it.effect("responds with 503 while workspaces cannot be read", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { owner, workspace } = yield* People.agent()

      yield* sql`ALTER TABLE workspaces RENAME TO away`
      const answer = yield* Effect.ensuring(
        mark(workspace.id, owner.token),
        Effect.orDie(sql`ALTER TABLE away RENAME TO workspaces`)
      )

      assert.deepInclude(answer, {
        status: 503,
        problem: { _tag: "DirectoryUnavailable", message: "cannot read the workspace now" }
      })
    })
  )

  it.effect("shows the metrics of an agent on the page of the service, and marks what it uses", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, owner, token, workspace } = yield* People.agent()
      const agent = yield* Agent.client(url, People.showing(token))
      const label = { name: "kind", value: 'a "quoted"\nline' }

      const answer = yield* agent.UpdateStats({
        stats: {
          ...zeroCounters,
          connection_count: 2,
          metrics: [
            { name: "agent_scripts_total", type: "COUNTER", value: 4, labels: [label] },
            { name: "coderd_agentapi_connected_agents", type: "GAUGE", value: 99, labels: [] }
          ]
        }
      })

      assert.deepStrictEqual(answer, { report_interval: 30 })
      const families = Prometheus.parse(yield* Effect.flatMap(HttpClient.get("/metrics"), ({ text }) => text))
      assert.deepStrictEqual(families.get("agent_scripts_total")?.samples, [
        {
          name: "agent_scripts_total",
          labels: {
            username: owner.username,
            workspace: workspace.name,
            agent: "main",
            template: "default",
            kind: label.value
          },
          value: 4
        }
      ])
      assert.strictEqual(families.get("coderd_agentapi_connected_agents")?.samples[0]?.value, 1)
      assert.isTrue(yield* wasUsed(workspace.id))
      assert.deepStrictEqual(yield* reportsOf(id), [
        { usage: false, ssh: 0, vscode: 0, connections: 2, user: owner.id }
      ])
    })
  )
})

/** A service in which people's programs count sessions. */
const layerExperiment = Layer.provideMerge(
  Service.layerOver(Server.layerStorage, { EXPERIMENTS: "workspace-usage" }),
  Postgres.layer
)

layer(layerExperiment, { excludeTestServices: true })("usage, where people's programs count sessions", (it) => {
  it.effect("reports a session of the app with the agent, and none that the agent counts [ST-04, ST-08, UT-21]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, owner, token, workspace } = yield* People.agent()
      const agent = yield* Agent.client(url, People.showing(token))

      yield* agent.UpdateStats({ stats: { ...zeroCounters, connection_count: 1, session_count_ssh: 5, metrics: [] } })
      assert.strictEqual((yield* mark(workspace.id, owner.token, { agent_id: id, app_name: "vscode" })).status, 204)

      assert.sameDeepMembers(
        [...(yield* reportsOf(id))],
        [
          { usage: false, ssh: 0, vscode: 0, connections: 1, user: owner.id },
          { usage: true, ssh: 0, vscode: 1, connections: 1, user: owner.id }
        ]
      )
    })
  )

  it.effect("counts sessions of every app that has a name", () =>
    Effect.gen(function* () {
      const { id, owner, workspace } = yield* People.agent()
      for (const app_name of ["vscode", "jetbrains", "reconnecting-pty", "ssh"]) {
        assert.strictEqual((yield* mark(workspace.id, owner.token, { agent_id: id, app_name })).status, 204, app_name)
      }
      assert.lengthOf(yield* reportsOf(id), 4)
    })
  )

  it.effect("responds with 503 while agents cannot be read, and logs of whom", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { logged } = yield* Service.TestService
      const { id, owner, workspace } = yield* People.agent()

      yield* sql`ALTER TABLE workspace_agents RENAME TO away`
      const { status } = yield* Effect.ensuring(
        mark(workspace.id, owner.token, { agent_id: id, app_name: "ssh" }),
        Effect.orDie(sql`ALTER TABLE away RENAME TO workspace_agents`)
      )

      assert.strictEqual(status, 503)
      yield* logged(`"agentId":"${id}"`, `"workspaceId":"${workspace.id}"`, "ERROR")
    })
  )

  it.effect("finds no agent of another workspace", () =>
    Effect.gen(function* () {
      const { owner, workspace } = yield* People.agent()
      const other = yield* People.agent()

      const { problem, status } = yield* mark(workspace.id, owner.token, { agent_id: other.id, app_name: "ssh" })

      assert.strictEqual(status, 404)
      assert.deepInclude(problem, { _tag: "AgentNotFound" })
      assert.deepStrictEqual(yield* reportsOf(other.id), [])
    })
  )
})
