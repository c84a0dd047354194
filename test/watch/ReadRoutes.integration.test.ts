/** Reading what is known of an agent of a running service. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { LogSourceId, nil, ScriptId } from "../../src/domain/Ids.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Seed from "../support/seed.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"

type Json = Readonly<Record<string, unknown>>

const read = (id: string, headers: Readonly<Record<string, string>>, rest = "") =>
  Effect.flatMap(HttpClient.get(Watcher.pathOf(id, rest).replace(/\/$/, ""), { headers }), (response) =>
    Effect.map(response.json, (body) => ({ status: response.status, body: body as Json }))
  )

/** The names of everything that programs of the original read, except those that are absent without a value. */
const names = [
  "api_version",
  "apps",
  "architecture",
  "connection_timeout_seconds",
  "created_at",
  "directory",
  "display_apps",
  "environment_variables",
  "expanded_directory",
  "health",
  "id",
  "lifecycle_state",
  "log_sources",
  "logs_length",
  "logs_overflowed",
  "name",
  "operating_system",
  "parent_id",
  "resource_id",
  "scripts",
  "startup_script_behavior",
  "status",
  "subsystems",
  "troubleshooting_url",
  "updated_at",
  "version"
]

layer(Service.layer, { excludeTestServices: true })("an agent that a user reads", (it) => {
  it.effect("has every field that programs of the original read [HT-14]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const sql = yield* SqlClient.SqlClient
      const { id, owner, token, workspace } = yield* People.agent()
      const headers = People.showing(owner.token)

      const fresh = yield* read(id, headers)
      assert.strictEqual(fresh.status, 200)
      assert.deepStrictEqual(Object.keys(fresh.body).sort(), names)
      assert.deepInclude(fresh.body, {
        parent_id: null,
        status: "connecting",
        lifecycle_state: "created",
        health: { healthy: true },
        apps: [],
        scripts: [],
        log_sources: [],
        startup_script_behavior: "non-blocking"
      })

      const app = yield* Seed.app(id, "web", { healthcheck_url: "http://localhost", subdomain: true })
      const [script, source] = [Seed.newId(ScriptId), Seed.newId(LogSourceId)]
      yield* sql`
        INSERT INTO workspace_agent_scripts
          (id, workspace_agent_id, log_source_id, script, start_blocks_login, timeout_seconds)
        VALUES (${script}, ${id}, ${source}, 'true', true, 5)`
      const { BatchCreateLogs, UpdateAppStatus, UpdateLifecycle } = yield* Agent.client(url, People.showing(token))
      yield* BatchCreateLogs({ log_source_id: LogSourceId.make(nil), logs: [{ output: "äh", level: "info" }] })
      yield* UpdateLifecycle({ lifecycle: { state: "start_error" } })
      yield* UpdateAppStatus({ slug: "web", state: "complete", message: "done", uri: "" })

      const { body } = yield* Effect.repeat(read(id, headers), { until: ({ body }) => body["status"] === "connected" })
      assert.deepInclude(body, {
        id,
        name: "main",
        lifecycle_state: "start_error",
        health: { healthy: false, reason: "agent startup script exited with an error" },
        logs_length: 3,
        startup_script_behavior: "blocking"
      })
      assert.match(String(body["first_connected_at"]), /^20\d\d-.+Z$/)
      const [found] = body["apps"] as readonly [Json]
      const { statuses, ...rest } = found
      assert.deepInclude(rest, {
        id: app,
        slug: "web",
        subdomain_name: `web--main--${workspace.name}--${owner.username}`,
        healthcheck: { url: "http://localhost", interval: 0, threshold: 0 }
      })
      const [status] = statuses as readonly [Json]
      assert.deepInclude(status, { app_id: app, agent_id: id, state: "complete", message: "done" })
      assert.deepInclude((body["scripts"] as readonly [Json])[0], { id: script, timeout: 5e9, log_source_id: source })
      assert.deepInclude((body["log_sources"] as readonly [Json])[0], {
        workspace_agent_id: id,
        display_name: "External"
      })
    })
  )

  it.effect("is there for its owner and for administrators, and for nobody else [HT-14, CX-05]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id, owner } = yield* People.agent()
      const admin = yield* People.user({ isAdmin: true })
      const stranger = yield* People.user()
      const status = (headers: Readonly<Record<string, string>>, rest = "") =>
        Effect.map(read(id, headers, rest), ({ status }) => status)

      assert.strictEqual(yield* status(People.showing(admin.token)), 200)
      assert.deepStrictEqual(yield* read(id, People.showing(owner.token), "context"), {
        status: 404,
        body: { _tag: "ContextNotFound", message: "the agent has sent no context" }
      })
      for (const rest of ["", "context"]) {
        assert.strictEqual(yield* status(People.showing(stranger.token), rest), 404)
        assert.strictEqual(yield* status({}, rest), 401)
      }
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${id}`
      assert.strictEqual(yield* status(People.showing(owner.token)), 404)
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("an agent that cannot be read", (it) => {
  it.effect("is a 503 that says no more", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id, owner } = yield* People.agent()
      yield* sql`DROP TABLE workspace_agent_scripts, workspace_agent_context_snapshots CASCADE`

      const { logs } = yield* Service.TestService
      for (const rest of ["", "context"]) {
        const before = logs.length
        const { body, status } = yield* read(id, People.showing(owner.token), rest)
        assert.strictEqual(status, 503)
        const what = rest === "" ? "an agent" : "the context of an agent"
        assert.deepStrictEqual(body, { _tag: "AgentUnavailable", message: `cannot read ${what} now` })
        assert.isTrue(logs.slice(before).some((line) => line.includes(id)))
      }
    })
  )
})
