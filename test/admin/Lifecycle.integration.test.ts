/** Users, workspaces, agents and tokens from their creation to their deletion, over the client of the contract. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { SqlClient } from "effect/sql"
import { Access } from "../../src/access/Access.ts"
import * as Token from "../../src/access/Token.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import { AdminApi } from "../../src/admin/AdminApi.ts"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { newId } from "../support/seed.ts"
import * as Service from "../support/service.ts"

const administrate = Effect.flatMap(People.user({ isAdmin: true }), ({ token }) =>
  HttpApiClient.make(AdminApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(People.showing(token)))
  })
)

const tagOf = <E extends { readonly _tag: string }>(effect: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(effect), ({ _tag }) => _tag)

layer(Service.layer, { excludeTestServices: true })("the administration", (it) => {
  it.effect("renames a user and changes their rights, and deletes them when they own nothing [LF-08]", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const { users, workspaces } = yield* administrate
      const { owner, workspace } = yield* People.agent()
      const username = People.newName("renamed")

      const renamed = yield* users.update({ params: owner, payload: { username, is_admin: true } })
      assert.deepStrictEqual(renamed, { id: owner.id, username, is_admin: true })
      assert.deepStrictEqual(yield* users.get({ params: { username } }), renamed)
      assert.deepInclude(yield* whoIs(owner.token), { username, isAdmin: true })
      assert.strictEqual(yield* tagOf(users.get({ params: owner })), "UserNotFound")
      const other = yield* People.user()
      assert.strictEqual(
        yield* tagOf(users.update({ params: { username }, payload: { username: other.username } })),
        "NameTaken"
      )

      assert.strictEqual(yield* tagOf(users.delete({ params: { username } })), "UserNeeded")
      yield* workspaces.delete({ params: { workspace: workspace.id } })
      yield* users.delete({ params: { username } })
      assert.strictEqual(yield* tagOf(users.delete({ params: { username } })), "UserNotFound")
      assert.strictEqual(yield* tagOf(whoIs(owner.token)), "Unauthenticated")
      yield* users.create({ payload: { username, is_admin: false } })
    })
  )

  it.effect("leaves the first administrator its name, its rights and its life [LF-08]", () =>
    Effect.gen(function* () {
      yield* Administrator.ensure(undefined)
      const { users } = yield* administrate
      const params = { username: Administrator.username }

      for (const payload of [{ username: "root" }, { is_admin: false }]) {
        assert.strictEqual(yield* tagOf(users.update({ params, payload })), "UserNeeded")
      }
      assert.strictEqual(yield* tagOf(users.delete({ params })), "UserNeeded")
      yield* users.update({ params, payload: { is_admin: true } })
    })
  )

  it.effect("lists the tokens of a user with their expiry and last use, and revokes them [LF-09]", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const { users } = yield* administrate
      const { token, username } = yield* People.user()
      const params = { username }
      yield* users.createToken({ params, payload: { name: "brief", lifetime: 3_600 } })

      const [brief, lasting] = yield* users.listTokens({ params })
      assert.deepInclude(brief, { name: "brief", last_used_at: null })
      const lifetime = DateTime.distance(brief!.created_at, brief!.expires_at!)
      assert.strictEqual(Duration.toMillis(lifetime), 3_600_000)
      assert.deepInclude(lasting, { name: "test", expires_at: null, last_used_at: null })

      yield* whoIs(token)
      const [, used] = yield* users.listTokens({ params })
      assert.isTrue(DateTime.isGreaterThanOrEqualTo(used!.last_used_at!, used!.created_at))

      yield* users.revokeToken({ params: { username, name: "test" } })
      assert.strictEqual(yield* tagOf(whoIs(token)), "Unauthenticated")
      assert.strictEqual(yield* tagOf(users.revokeToken({ params: { username, name: "test" } })), "TokenNotFound")
      assert.strictEqual(
        yield* tagOf(users.revokeToken({ params: { username: "nobody", name: "test" } })),
        "UserNotFound"
      )
    })
  )

  it.effect("lets nobody in with a token that has expired [LF-09]", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const sql = yield* SqlClient.SqlClient
      const { id, token } = yield* People.user()
      yield* sql`UPDATE api_tokens SET expires_at = now() + interval '1 minute' WHERE user_id = ${id}`
      yield* whoIs(token)

      yield* sql`UPDATE api_tokens SET expires_at = now() WHERE user_id = ${id}`

      assert.strictEqual(yield* tagOf(whoIs(token)), "Unauthenticated")
    })
  )

  it.effect("renames a workspace, gives it to another user, and deletes it with its agents [LF-10]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { mayRead } = yield* Access
      const { workspaces } = yield* administrate
      const person = yield* People.agent("cpu")
      const other = yield* People.user()
      const params = { workspace: person.workspace.id }
      const name = People.newName("moved")

      const moved = yield* workspaces.update({ params, payload: { name, owner: other.username } })
      assert.deepStrictEqual(moved, { id: person.workspace.id, name, owner: other.username, agents: 1 })
      assert.deepStrictEqual(yield* workspaces.get({ params }), moved)
      yield* mayRead(other, person.id)
      assert.strictEqual(yield* tagOf(mayRead(person.owner, person.id)), "AgentNotFound")
      yield* workspaces.create({ payload: { name: "taken", owner: other.username } })
      assert.strictEqual(yield* tagOf(workspaces.update({ params, payload: { name: "Taken" } })), "NameTaken")
      assert.strictEqual(yield* tagOf(workspaces.update({ params, payload: { owner: "nobody" } })), "UserNotFound")

      const connection = yield* Agent.connect(url, People.showing(person.token))
      yield* workspaces.delete({ params })
      assert.strictEqual((yield* connection.closed).code, 1_008)
      for (const gone of [workspaces.get({ params }), workspaces.delete({ params })]) {
        assert.strictEqual(yield* tagOf(gone), "WorkspaceNotFound")
      }
    })
  )

  it.effect("renames an agent and replaces what is declared of it, kind by kind [LF-11]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { agents } = yield* administrate
      const { workspace } = yield* People.agent()
      const app = (slug: string, healthcheck = { url: "", interval: 0, threshold: 0 }) => ({
        slug,
        display_name: slug,
        display_group: "",
        display_order: 0,
        url: `http://localhost/${slug}`,
        command: "",
        icon: "",
        tooltip: "",
        external: false,
        subdomain: false,
        hidden: false,
        sharing_level: "owner" as const,
        open_in: "tab" as const,
        healthcheck
      })
      const script = (display_name: string) => ({
        display_name,
        script: `./${display_name}`,
        log_path: "",
        cron: "",
        run_on_start: true,
        run_on_stop: false,
        start_blocks_login: false,
        timeout: 30
      })
      const key = (name: string) => ({
        key: name,
        display_name: name,
        script: "",
        interval: 10,
        timeout: 10,
        display_order: 0
      })
      const declared = {
        metadata: [key("cpu"), key("disk")],
        apps: [app("code", { url: "http://localhost/healthz", interval: 5, threshold: 3 }), app("web")],
        scripts: [script("prepare"), script("clean")],
        monitors: {
          memory: { enabled: true, threshold: 80 },
          volumes: [
            { path: "/", enabled: true, threshold: 70 },
            { path: "/home", enabled: false, threshold: 90 }
          ]
        }
      }
      const [created] = yield* agents.create({
        params: { workspace: workspace.id },
        payload: { agents: [{ name: "equipped", ...declared }] }
      })
      const params = { agent: created!.id }
      const view = { id: created!.id, workspace: workspace.id, name: "equipped", ...declared }
      assert.deepStrictEqual(yield* agents.get({ params }), view)

      yield* sql`UPDATE workspace_apps SET health = 'healthy' WHERE agent_id = ${created!.id} AND slug = 'code'`
      const ids = sql`
        SELECT id FROM workspace_apps WHERE agent_id = ${created!.id} AND slug = 'code'
        UNION ALL SELECT id FROM workspace_agent_scripts WHERE workspace_agent_id = ${created!.id} AND display_name = 'clean'`
      const before = yield* ids
      const change = {
        name: "changed",
        metadata: [key("disk"), key("load")],
        apps: [{ ...declared.apps[0]!, display_name: "Code" }],
        scripts: [script("clean"), script("after")],
        monitors: { memory: null, volumes: [{ path: "/", enabled: false, threshold: 60 }] }
      }
      assert.deepStrictEqual(yield* agents.update({ params, payload: change }), { ...view, ...change })
      assert.deepStrictEqual(yield* ids, before)
      assert.deepStrictEqual(yield* sql`SELECT health FROM workspace_apps WHERE agent_id = ${created!.id}`, [
        { health: "healthy" }
      ])
      assert.deepStrictEqual(
        yield* sql`SELECT key FROM workspace_agent_metadata WHERE workspace_agent_id = ${created!.id} ORDER BY key`,
        [{ key: "disk" }, { key: "load" }]
      )

      assert.deepStrictEqual(yield* agents.update({ params, payload: { apps: [] } }), { ...view, ...change, apps: [] })
      assert.strictEqual(yield* tagOf(agents.update({ params, payload: { name: "MAIN" } })), "NameTaken")
    })
  )

  it.effect("deletes an agent with its sub-agents, whose connections end at once [LF-12]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const sql = yield* SqlClient.SqlClient
      const { agents } = yield* administrate
      const { id, token, workspace } = yield* People.agent("cpu")
      const tokenOfChild = yield* Token.mint
      yield* sql`
        INSERT INTO workspace_agents (id, parent_id, workspace_build_id, name, auth_token_hash)
        SELECT gen_random_uuid(), id, workspace_build_id, 'child', ${yield* Token.digest(tokenOfChild)}
        FROM workspace_agents WHERE id = ${id}`
      const connections = yield* Effect.forEach([token, tokenOfChild], (shown) =>
        Agent.connect(url, People.showing(shown))
      )
      const params = { workspace: workspace.id }
      assert.lengthOf(yield* agents.list({ params }), 2)

      yield* agents.delete({ params: { agent: id } })

      for (const { closed } of connections) assert.strictEqual((yield* closed).code, 1_008)
      assert.deepStrictEqual(yield* agents.list({ params }), [])
      for (const gone of [agents.get, agents.delete, agents.rotateToken]) {
        assert.strictEqual(yield* tagOf(gone({ params: { agent: id } })), "AgentNotFound")
      }
      assert.strictEqual(yield* tagOf(agents.update({ params: { agent: id }, payload: {} })), "AgentNotFound")
    })
  )

  it.effect("is for administrators alone in every call, and for none without a token [LF-08]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user()
      const agent = newId(AgentId)
      const workspace = newId(WorkspaceId)
      const calls = [
        ["GET", "/users/ada"],
        ["PATCH", "/users/ada"],
        ["DELETE", "/users/ada"],
        ["GET", "/users/ada/tokens"],
        ["DELETE", "/users/ada/tokens/default"],
        ["GET", `/workspaces/${workspace}`],
        ["PATCH", `/workspaces/${workspace}`],
        ["DELETE", `/workspaces/${workspace}`],
        ["GET", `/workspaceagents/${agent}/declarations`],
        ["PATCH", `/workspaceagents/${agent}`],
        ["DELETE", `/workspaceagents/${agent}`]
      ] as const

      for (const [method, path] of calls) {
        const request = HttpClientRequest.make(method)(`/api/v2${path}`)
        assert.strictEqual((yield* HttpClient.execute(request)).status, 401, path)
        const asUser = HttpClientRequest.setHeader(request, "authorization", `Bearer ${Redacted.value(token)}`)
        assert.strictEqual((yield* HttpClient.execute(asUser)).status, 403, path)
      }
    })
  )
})
