/** The dashboard of a running service: its page, and what that asks for. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Option } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as Token from "../../src/access/Token.ts"
import type { Tailnet } from "../../src/dashboard/AgentCatalog.ts"
import { DashboardApi } from "../../src/dashboard/DashboardApi.ts"
import { Directory } from "../../src/admin/Directory.ts"
import { Coordinator } from "../../src/tailnet/Coordinator.ts"
import { PeerId } from "../../src/tailnet/Peer.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import { connectTo, newPeerId, node } from "../tailnet/support.ts"

/** Requests of a user to the dashboard. */
const asking = Effect.fnUntraced(function* (token: Token.Token) {
  const { dashboard } = yield* HttpApiClient.make(DashboardApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(People.showing(token)))
  })
  return dashboard
})

/** Agents of these names in a workspace of a user's. */
const workspaceOf = Effect.fnUntraced(function* (owner: string, workspace: string, names: ReadonlyArray<string>) {
  const directory = yield* Directory
  const { id } = yield* directory.createWorkspace({ name: workspace, owner })
  const agents = yield* Effect.forEach(names, (name) =>
    Effect.map(Effect.flatMap(Token.mint, Token.digest), (token) => ({ name, token, metadata: [] }))
  )
  return yield* directory.createAgents(id, agents)
})

layer(Service.layer, { excludeTestServices: true })("the page", (it) => {
  it.effect("is at /, and loads nothing but its own script and style", () =>
    Effect.gen(function* () {
      const page = yield* HttpClient.get("/")
      const text = yield* page.text
      const parts = [...text.matchAll(/(?:src|href)="(?!data:)([^"]+)"/g)].map(([, path]) => path!)

      assert.include(page.headers["content-type"], "text/html")
      assert.strictEqual(page.headers["cache-control"], "no-cache")
      assert.lengthOf(parts, 2)
      for (const part of parts) {
        assert.match(part, /^assets\/dashboard-[\w-]{12}\.(js|css)$/)
        const { headers, status } = yield* HttpClient.get(`/${part}`)
        assert.strictEqual(status, 200)
        assert.include(headers["cache-control"], "immutable")
      }
    })
  )

  it.effect("runs no script but its own, and is framed by nobody", () =>
    Effect.gen(function* () {
      const { headers } = yield* HttpClient.get("/")
      const policy = headers["content-security-policy"] ?? ""

      for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
        assert.include(policy.split("; "), rule)
      }
      assert.notMatch(policy, /unsafe|http|\*/)
      assert.strictEqual(headers["referrer-policy"], "no-referrer")
    })
  )

  it.effect("is small: its script takes 45 kB", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const text = yield* Effect.flatMap(HttpClient.get("/"), (page) => page.text)
      const [, script] = /src="([^"]+)"/.exec(text)!
      const size = yield* Effect.tryPromise(async () => {
        const answer = await fetch(`${url}/${script}`, { headers: { "accept-encoding": "gzip" } })
        assert.strictEqual(answer.headers.get("content-encoding"), "gzip")
        await answer.body?.cancel()
        return Number(answer.headers.get("content-length"))
      })

      assert.isBelow(size, 45_000)
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the requests of the page", (it) => {
  it.effect("takes the token of a user", () =>
    Effect.gen(function* () {
      for (const path of ["viewer", "overview", "watch-overview", "agents", `agents/${crypto.randomUUID()}`]) {
        assert.strictEqual((yield* HttpClient.get(`/api/v2/dashboard/${path}`)).status, 401, path)
      }
      const { token, username } = yield* People.user()
      assert.deepStrictEqual(yield* (yield* asking(token)).viewer(), { username, is_admin: false })
    })
  )

  it.effect("is one's own agents, and for administrators all of them", () =>
    Effect.gen(function* () {
      const [ada, bob, admin] = [yield* People.user(), yield* People.user(), yield* People.user({ isAdmin: true })]
      const [mine] = yield* workspaceOf(ada.username, "mine", ["a"])
      const [theirs] = yield* workspaceOf(bob.username, "theirs", ["b"])
      const [asAda, asAdmin] = [yield* asking(ada.token), yield* asking(admin.token)]
      const names = (search: string) => ({ query: { search } })

      assert.deepStrictEqual(
        (yield* asAda.agents({ query: {} })).agents.map(({ name }) => name),
        ["a"]
      )
      assert.strictEqual((yield* asAda.agents(names(bob.username))).total, 0)
      assert.strictEqual((yield* asAdmin.agents(names(bob.username))).total, 1)
      assert.strictEqual((yield* asAda.agent({ params: { agent: mine!.id } })).name, "a")
      assert.strictEqual((yield* asAdmin.agent({ params: { agent: theirs!.id } })).name, "b")
      assert.strictEqual((yield* Effect.flip(asAda.agent({ params: { agent: theirs!.id } })))._tag, "AgentNotFound")
    })
  )

  it.effect("is what all words of a search are in, in any order, page by page", () =>
    Effect.gen(function* () {
      const owner = yield* People.user()
      const { agents } = yield* asking(owner.token)
      yield* workspaceOf(owner.username, "alpha", ["web-10", "web-9", "100%", "a_b"])
      yield* workspaceOf(owner.username, "beta", ["web-2", "job"])
      const found = (search: string, more: object = {}) =>
        Effect.map(agents({ query: { search, ...more } }), ({ agents, total }) => [
          total,
          ...agents.map(({ name, workspace }) => `${workspace}/${name}`)
        ])

      assert.deepStrictEqual(yield* found("WEB"), [3, "beta/web-2", "alpha/web-9", "alpha/web-10"])
      assert.deepStrictEqual(yield* found("web alp"), [2, "alpha/web-9", "alpha/web-10"])
      assert.deepStrictEqual(yield* found(" alpha   web-1 "), [1, "alpha/web-10"])
      assert.deepStrictEqual(yield* found("connecting beta"), [2, "beta/job", "beta/web-2"])
      assert.deepStrictEqual(yield* found("disconnected"), [0])
      assert.deepStrictEqual(yield* found("0%"), [1, "alpha/100%"])
      assert.deepStrictEqual(yield* found("a_b"), [1, "alpha/a_b"])
      assert.deepStrictEqual(yield* found("' OR true --"), [0])
      assert.deepStrictEqual(yield* found("web", { order: "desc" }), [3, "alpha/web-10", "alpha/web-9", "beta/web-2"])
      assert.deepStrictEqual(yield* found("web", { sort: "workspace", order: "desc" }), [
        3,
        "beta/web-2",
        "alpha/web-10",
        "alpha/web-9"
      ])
      assert.deepStrictEqual(yield* found("web", { offset: 1, limit: 1 }), [3, "alpha/web-9"])
      assert.deepStrictEqual(yield* found("web", { offset: 9, limit: 1 }), [3])
    })
  )

  it.effect("is an agent with its connection, its newest value, its errors and who is connected to it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { url } = yield* Service.TestService
      const { id, owner, token, workspace } = yield* People.agent("cpu", "disk")
      const dashboard = yield* asking(owner.token)
      const row = Effect.map(dashboard.agents({ query: {} }), ({ agents: [agent] }) => agent!)
      assert.deepInclude(yield* row, { status: "connecting", reported_at: null, errors: 0, lifecycle: "created" })

      const connected = Effect.gen(function* () {
        const agent = yield* Agent.client(url, People.showing(token))
        yield* agent.BatchUpdateMetadata({ metadata: [Agent.sample("cpu", "1 %"), Agent.sample("disk", "", "broken")] })
        yield* Effect.repeat(row, { until: ({ errors }) => errors === 1 })
        assert.deepInclude(yield* row, { status: "connected", errors: 1 })
        assert.isNotNull((yield* row).reported_at)
      })
      yield* Effect.scoped(connected)
      yield* Effect.repeat(row, { until: ({ status }) => status === "disconnected" })

      yield* sql`
        INSERT INTO connection_logs
          (id, connect_time, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type, ip,
           connection_id, disconnect_time, disconnect_reason)
        SELECT gen_random_uuid(), now() - interval '1 hour', gen_random_uuid(), ${owner.id}, ${workspace.id},
          ${workspace.name}, 'main', 'ssh', '::1', gen_random_uuid(), now(), 'left'`
      const details = yield* dashboard.agent({ params: { agent: id } })
      assert.deepInclude(details, {
        name: "main",
        owner: owner.username,
        status: "disconnected",
        architecture: "amd64"
      })
      assert.deepStrictEqual(
        details.connections.map(({ app, ip, reason, type }) => [type, app, ip, reason]),
        [["ssh", null, "::1", "left"]]
      )
    })
  )

  it.effect("is an agent with its tunnels, on whichever replica its peers are [TC-48]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { id, owner } = yield* People.agent()
      const dashboard = yield* asking(owner.token)
      const tailnet = Effect.map(dashboard.agent({ params: { agent: id } }), (details) => details.tailnet)
      const until = (isSo: (found: Tailnet) => boolean) => Effect.repeat(tailnet, { until: isSo })
      assert.deepStrictEqual(yield* tailnet, { status: "connecting", connected_at: null, total: 0, tunnels: [] })

      const coordinator = yield* Coordinator
      const agent = yield* connectTo(coordinator, "agent", { id: PeerId.make(id) })
      yield* agent.update("a1")
      const [near, silent] = [yield* connectTo(coordinator, "near"), yield* connectTo(coordinator, "silent")]
      yield* near.send({ updateSelf: node("n1"), addTunnel: agent.id })
      yield* silent.addTunnel(agent)
      const { connected_at, status } = yield* until(({ status, total }) => status === "connected" && total === 2)
      assert.strictEqual(status, "connected")
      assert.isNotNull(connected_at)

      // of a replica without heartbeats
      const far = newPeerId()
      yield* sql`
        INSERT INTO tailnet_peers (id, coordinator_id, status, node, started_at, changed_at, updated_at)
        VALUES (${far}, gen_random_uuid(), 'ok', 'x', 1000, 1000, now())`
      yield* sql`INSERT INTO tailnet_tunnels (src_id, dst_id, updated_at) VALUES (${far}, ${id}, now())`
      const { total, tunnels } = yield* until(({ tunnels }) => tunnels.some(({ status }) => status === "connected"))
      assert.strictEqual(total, 3)
      assert.deepStrictEqual(
        tunnels.map(({ peer, status }) => [peer, status]).sort(),
        [
          [near.id, "connected"],
          [silent.id, "connecting"],
          [far, "lost"]
        ].sort()
      )
      assert.strictEqual(tunnels[0]!.peer, near.id)
      const lost = tunnels.find(({ peer }) => peer === far)
      assert.strictEqual(DateTime.toEpochMillis(lost!.connected_at!), 1_000)

      yield* agent.disconnect
      yield* until(({ status }) => status === "connecting")
    })
  )

  it.effect("rejects text that no name can hold, wherever a request carries it [FT-39]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user()
      const headers = People.showing(token)
      const status = (path: string) => Effect.map(HttpClient.get(path, { headers }), ({ status }) => status)

      for (const search of ["%00", "a%00b", "x".repeat(201)]) {
        assert.strictEqual(yield* status(`/api/v2/dashboard/agents?search=${search}`), 400, search)
      }
      for (const query of ["sort=%00", "order=%00", "offset=%00", "limit=1e9", "offset=1e300", "offset=NaN"]) {
        assert.strictEqual(yield* status(`/api/v2/dashboard/agents?${query}`), 400, query)
      }
      const id = "10000000-0000-4000-8000-000000000000"
      for (const path of [
        "dashboard/agents/%00",
        "workspaceagents/%00/metadata",
        "workspaceagents/%00/logs",
        `workspaceagents/${id}/logs?after=%00`,
        `workspaceagents/${id}/logs?after=1e300`,
        `workspaceagents/${id}/logs?follow=%00`
      ]) {
        assert.strictEqual(yield* status(`/api/v2/${path}`), 400, path)
      }
      const { workspace } = yield* People.agent()
      const administrator = People.showing((yield* People.user({ isAdmin: true })).token)
      for (const text of ["a\0", "\ud800"]) {
        const request = HttpClientRequest.post(`/api/v2/workspaces/${workspace.id}/agents`, { headers: administrator })
        const body = { agents: [{ name: "other", metadata: [{ key: "a", script: text }] }] }
        const { status } = yield* HttpClient.execute(HttpClientRequest.bodyJsonUnsafe(request, body))
        assert.strictEqual(status, 400)
      }
    })
  )

  it.effect("is of the latest builds, and nothing that was deleted or is silent counts as connected", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const owner = yield* People.user()
      const dashboard = yield* asking(owner.token)
      const [silent, deleted] = yield* workspaceOf(owner.username, "first", ["silent", "deleted", "late"])
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deleted!.id}`
      yield* sql`
        UPDATE workspace_agents
        SET first_connected_at = now() - interval '1 hour', last_connected_at = now() - interval '61 seconds'
        WHERE id = ${silent!.id}`
      yield* sql`UPDATE workspace_agents SET created_at = now() - interval '3 minutes' WHERE name = 'late'`
      const list = Effect.map(dashboard.agents({ query: {} }), ({ agents }) =>
        agents.map(({ name, status }) => `${name} ${status}`)
      )
      assert.deepStrictEqual(yield* list, ["late timeout", "silent disconnected"])

      yield* sql`
        INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
        SELECT gen_random_uuid(), id, 2, 'stop' FROM workspaces WHERE owner_id = ${owner.id}`
      assert.deepStrictEqual(yield* list, [])
      assert.isTrue(Option.isSome(yield* Effect.option(dashboard.agent({ params: { agent: silent!.id } }))))
    })
  )
})
