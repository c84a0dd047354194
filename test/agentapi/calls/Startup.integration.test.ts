/** An agent that starts, over a real WebSocket and a real Postgres: its manifest, how far it comes, its apps. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Agent from "../../support/agent.ts"
import * as People from "../../support/directory.ts"
import * as Seed from "../../support/seed.ts"
import * as Service from "../../support/service.ts"

const environment = { WILDCARD_ACCESS_URL: "https://*.apps.example.com", EXTERNAL_AUTH_PROVIDERS: "github,jira" }

layer(Service.layerWith(environment), { excludeTestServices: true })("an agent that starts", (it) => {
  it.effect(
    "gets its manifest and reports its progress, and its owner is notified of its task [MF-03, LC-10, AA-14]",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* Service.TestService
        const { id, owner, token, workspace } = yield* People.agent("cpu", "ram")
        const app = yield* Seed.app(id, "claude", { healthcheck_url: "http://localhost:1", health: "initializing" })
        yield* sql`
        INSERT INTO tasks (id, workspace_id, workspace_app_id, name)
        VALUES (gen_random_uuid(), ${workspace.id}, ${app}, 'fix it')`
        const agent = yield* Agent.client(url, People.showing(token))

        const manifest = yield* agent.GetManifest({})
        assert.strictEqual(manifest.agent_id, id)
        assert.strictEqual(manifest.git_auth_configs, 1)
        assert.strictEqual(
          manifest.vs_code_port_proxy_uri,
          `https://{{port}}--main--${workspace.name}--${owner.username}.apps.example.com`
        )
        assert.deepStrictEqual(
          manifest.metadata.map(({ interval, key, timeout }) => [key, interval, timeout]),
          ["cpu", "ram"].map((key) => [key, Duration.seconds(10), Duration.seconds(2)])
        )
        assert.deepStrictEqual(
          manifest.apps.map(({ health, slug }) => [slug, health]),
          [["claude", "initializing"]]
        )
        assert.deepStrictEqual((yield* agent.GetAnnouncementBanners({})).announcement_banners, [])
        assert.isFalse((yield* agent.GetServiceBanner({})).enabled)

        yield* agent.UpdateStartup({
          startup: { version: "v2.31.0", expanded_directory: "/home/ada", subsystems: ["envbox"] }
        })
        yield* agent.UpdateLifecycle({ lifecycle: { state: "starting" } })
        const readyAt = yield* DateTime.now
        yield* agent.UpdateLifecycle({ lifecycle: { state: "ready", changed_at: readyAt } })
        yield* agent.BatchUpdateAppHealths({ updates: [{ id: app, health: "healthy" }] })
        for (const state of ["working", "complete"] as const) {
          yield* agent.UpdateAppStatus({ slug: "claude", state, message: `it is\n<b>${state}</b>`, uri: "" })
        }

        assert.deepStrictEqual(
          yield* sql`
          SELECT agent.version, api_version, lifecycle_state, ready_at, health, array_agg(message ORDER BY message DESC)
          FROM workspace_agents AS agent
          JOIN workspace_apps AS app ON app.agent_id = agent.id
          JOIN workspace_app_statuses AS status ON status.app_id = app.id
          WHERE agent.id = ${id}
          GROUP BY agent.id, app.id`,
          [
            {
              version: "v2.31.0",
              api_version: "2.0",
              lifecycle_state: "ready",
              ready_at: DateTime.toDateUtc(readyAt),
              health: "healthy",
              array_agg: ["it is working", "it is complete"]
            }
          ]
        )
        assert.deepStrictEqual(
          yield* sql`SELECT template, labels FROM notification_messages WHERE user_id = ${owner.id}`,
          [{ template: "task_completed", labels: { task: "fix it", workspace: workspace.name } }]
        )
      })
  )

  it.effect("gets the name of each invalid field [LC-01, LC-08, LC-09, AA-02, AA-05, AA-08, AA-09, AA-10]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()
      const connection = yield* Agent.connect(url, People.showing(token))
      const status = { slug: "claude", state: "IDLE", message: "" }
      const wrong = [
        ["UpdateLifecycle", {}, "lifecycle", "Missing"],
        ["UpdateLifecycle", { lifecycle: { state: "GONE" } }, "lifecycle.state", "“GONE” is none of CREATED, "],
        ["UpdateLifecycle", { lifecycle: { state: "OFF", changed_at: "x" } }, "lifecycle.changed_at", "DateTime"],
        ["UpdateStartup", { startup: { version: "2.31.0" } }, "startup.version", "a semantic version"],
        ["UpdateStartup", { startup: { version: "v1", subsystems: ["X"] } }, "startup.subsystems[0]", "“X” is none of"],
        ["BatchUpdateAppHealths", { updates: [{ id: "app", health: "HEALTHY" }] }, "updates[0].id", "a UUID"],
        [
          "BatchUpdateAppHealths",
          { updates: [{ id: Seed.newIds(1)[0], health: "ILL" }] },
          "updates[0].health",
          "“ILL”"
        ],
        [
          "BatchUpdateAppHealths",
          { updates: [{ id: Seed.newIds(1)[0], health: "HEALTHY" }] },
          "updates[0].id",
          "no such"
        ],
        ["UpdateAppStatus", { ...status, message: "m".repeat(161) }, "message", "at most 160 bytes"],
        ["UpdateAppStatus", { ...status, state: "ASLEEP" }, "state", "“ASLEEP” is none of WORKING, "],
        ["UpdateAppStatus", status, "slug", "no app of this slug"]
      ] as const

      for (const [tag, payload, field, expected] of wrong) {
        const frame = JSON.stringify({ _tag: "Request", id: "1", tag, payload, headers: [] })
        const { problem, ...error } = Agent.refusal(yield* Agent.exchange(connection, frame))
        assert.deepStrictEqual(error, { _tag: "InvalidRequest", field }, problem)
        assert.include(problem, expected)
      }
    })
  )
})
