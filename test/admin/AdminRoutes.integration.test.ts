/** Administration over the client of its contract. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Option, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Access } from "../../src/access/Access.ts"
import * as Token from "../../src/access/Token.ts"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import { AdminApi } from "../../src/admin/AdminApi.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { newId } from "../support/seed.ts"
import * as Service from "../support/service.ts"

const clientOf = (headers: Record<string, string>) =>
  HttpApiClient.make(AdminApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(headers))
  })

/** The API as an administrator calls it. */
const administrate = Effect.flatMap(People.user({ isAdmin: true }), ({ token }) => clientOf(People.showing(token)))

const processor = {
  key: "cpu",
  display_name: "Processor",
  script: "top",
  interval: 5,
  timeout: 0.5,
  display_order: 3
}

const token = (text: string): Token.Token => Redacted.make(text, { label: "token" })

layer(Service.layer, { excludeTestServices: true })("administration", (it) => {
  it.effect("makes a user, their token, a workspace and an agent that can connect and be read", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const api = yield* administrate
      const [username, name] = [People.newName("user"), People.newName("workspace")]

      const user = yield* api.users.create({ payload: { username, is_admin: false } })
      const shown = yield* api.users.createToken({ params: { username }, payload: { name: "laptop" } })
      const workspace = yield* api.workspaces.create({ payload: { name, owner: username } })
      const [agent] = yield* api.agents.create({
        params: { workspace: workspace.id },
        payload: { agents: [{ name: "main", metadata: [processor] }] }
      })

      assert.deepInclude(user, { username, is_admin: false })
      assert.deepInclude(workspace, { name, owner: username, agents: 0 })
      assert.deepStrictEqual(agent?.metadata, [processor])
      const connection = yield* Agent.connect(url, People.showing(token(agent!.token)))
      assert.deepStrictEqual(yield* Agent.exchange(connection, Agent.report("1")), Agent.accepted("1"))
      const read = yield* HttpClient.get(`/api/v2/workspaceagents/${agent!.id}/metadata`, {
        headers: People.bearer(token(shown.token))
      })
      assert.deepInclude(((yield* read.json) as ReadonlyArray<{ description: unknown }>)[0]!.description, {
        display_name: "Processor",
        interval: 5
      })
    })
  )

  it.effect("lists users, workspaces and agents", () =>
    Effect.gen(function* () {
      const api = yield* administrate
      const { id, owner, workspace } = yield* People.agent("cpu")

      assert.deepInclude(yield* api.users.list(), { id: owner.id, username: owner.username, is_admin: false })
      assert.deepInclude(yield* api.workspaces.list(), { ...workspace, agents: 1 })
      const [agent] = yield* api.agents.list({ params: { workspace: workspace.id } })
      assert.deepStrictEqual(agent, {
        id,
        name: "main",
        metadata: [
          { key: "cpu", display_name: "CPU", script: "measure cpu", interval: 10, timeout: 2, display_order: 0 }
        ]
      })
    })
  )

  it.effect("returns agents in the order of the request, each with its own token", () =>
    Effect.gen(function* () {
      const { agent: whoIs } = yield* Access
      const api = yield* administrate
      const { workspace } = yield* People.agent()
      const names = ["zoe", "ada", "kim"]

      const created = yield* api.agents.create({
        params: { workspace: workspace.id },
        payload: { agents: names.map((name) => ({ name, metadata: [] })) }
      })

      assert.deepStrictEqual(
        created.map(({ name }) => name),
        names
      )
      for (const { id, name, token: shown } of created) {
        assert.deepInclude(yield* whoIs(token(shown)), { agentId: id, agentName: name })
      }
    })
  )

  it.effect("rotates the token of an agent: the old one is invalid at once", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const api = yield* administrate
      const { id, token: old } = yield* People.agent()

      const { token: shown } = yield* api.agents.rotateToken({ params: { agent: id } })

      assert.strictEqual((yield* Effect.flip(Agent.connect(url, People.showing(old)))).status, 401)
      yield* Agent.connect(url, People.showing(token(shown)))
    })
  )

  it.effect("replaces a token of a user by one of the same name", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const api = yield* administrate
      const { token: other, username } = yield* People.user()
      const mint = api.users.createToken({ params: { username }, payload: { name: "default" } })

      const [first, second] = [yield* mint, yield* mint]

      assert.strictEqual((yield* Effect.flip(whoIs(token(first.token))))._tag, "Unauthenticated")
      for (const valid of [token(second.token), other]) assert.deepInclude(yield* whoIs(valid), { username })
    })
  )

  it.effect("is for administrators: 401 without a valid token, 403 for everyone else", () =>
    Effect.gen(function* () {
      const { owner, token: ofAgent, workspace } = yield* People.agent()
      const params = { workspace: workspace.id }
      const attempts = Effect.fnUntraced(function* (headers: Record<string, string>) {
        const { agents, users, workspaces } = yield* clientOf(headers)
        const errors = yield* Effect.all([
          Effect.flip(users.list()),
          Effect.flip(users.create({ payload: { username: "mallory", is_admin: true } })),
          Effect.flip(users.createToken({ params: { username: owner.username }, payload: { name: "default" } })),
          Effect.flip(workspaces.list()),
          Effect.flip(workspaces.create({ payload: { name: "mine", owner: owner.username } })),
          Effect.flip(agents.list({ params })),
          Effect.flip(agents.create({ params, payload: { agents: [{ name: "mine", metadata: [] }] } })),
          Effect.flip(agents.rotateToken({ params: { agent: newId(AgentId) } }))
        ])
        return [...new Set(errors.map(({ _tag }) => _tag))]
      })

      for (const headers of [{}, People.showing(yield* Token.mint), People.showing(ofAgent)]) {
        assert.deepStrictEqual(yield* attempts(headers), ["Unauthenticated"])
      }
      for (const headers of [People.showing(owner.token), People.bearer(owner.token)]) {
        assert.deepStrictEqual(yield* attempts(headers), ["Forbidden"])
      }
      const users = yield* (yield* administrate).users.list()
      assert.notInclude(
        users.map(({ username }) => username),
        "mallory"
      )
    })
  )

  it.effect("checks the token before it reads the body", () =>
    Effect.gen(function* () {
      const response = yield* HttpClientRequest.post("/api/v2/users").pipe(
        HttpClientRequest.bodyText("{", "application/json"),
        HttpClient.execute
      )

      assert.strictEqual(response.status, 401)
    })
  )

  it.effect("says which thing does not exist, and which name is taken", () =>
    Effect.gen(function* () {
      const api = yield* administrate
      const { owner, workspace } = yield* People.agent()
      const params = { workspace: newId(WorkspaceId) }
      const agent = newId(AgentId)

      const errors = yield* Effect.all([
        Effect.flip(api.users.createToken({ params: { username: "nobody" }, payload: { name: "default" } })),
        Effect.flip(api.workspaces.create({ payload: { name: "new", owner: "nobody" } })),
        Effect.flip(api.agents.list({ params })),
        Effect.flip(api.agents.create({ params, payload: { agents: [{ name: "new", metadata: [] }] } })),
        Effect.flip(api.agents.rotateToken({ params: { agent } })),
        Effect.flip(api.users.create({ payload: { username: owner.username, is_admin: false } })),
        Effect.flip(api.workspaces.create({ payload: { name: workspace.name, owner: owner.username } })),
        Effect.flip(
          api.agents.create({
            params: { workspace: workspace.id },
            payload: { agents: [{ name: "Main", metadata: [] }] }
          })
        )
      ])

      assert.deepStrictEqual(
        errors.map(({ _tag, message }) => [_tag, message]),
        [
          ["UserNotFound", "there is no user nobody"],
          ["UserNotFound", "there is no user nobody"],
          ["WorkspaceNotFound", `there is no workspace ${params.workspace}`],
          ["WorkspaceNotFound", `there is no workspace ${params.workspace}`],
          ["AgentNotFound", `there is no agent ${agent}`],
          ["NameTaken", `there is a user ${owner.username} already`],
          ["NameTaken", `${owner.username} has a workspace ${workspace.name} already`],
          ["NameTaken", "the workspace has an agent of one of these names already"]
        ]
      )
      const headers = People.showing((yield* People.user({ isAdmin: true })).token)
      const path = `/api/v2/workspaces/${params.workspace}/agents`
      assert.strictEqual((yield* HttpClient.get(path, { headers })).status, 404)
      const taken = yield* HttpClientRequest.post("/api/v2/users", { headers }).pipe(
        HttpClientRequest.bodyJsonUnsafe({ username: owner.username }),
        HttpClient.execute
      )
      assert.strictEqual(taken.status, 409)
    })
  )

  it.effect("keeps tokens out of the logs", () =>
    Effect.gen(function* () {
      const { logs } = yield* Service.TestService
      const admin = yield* People.user({ isAdmin: true })
      const api = yield* clientOf(People.bearer(admin.token))
      const { id } = yield* People.agent()

      const { token: ofAgent } = yield* api.agents.rotateToken({ params: { agent: id } })
      const ofUser = yield* api.users.createToken({
        params: { username: admin.username },
        payload: { name: "default" }
      })
      yield* Effect.flip(api.users.createToken({ params: { username: "nobody" }, payload: { name: "default" } }))

      for (const secret of [ofAgent, ofUser.token, Redacted.value(admin.token)]) {
        assert.notInclude(logs.join("\n"), secret)
      }
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the first administrator of a new database", (it) => {
  it.effect("gets a token once when there is none, and the one of the settings from every start on", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const ofSettings = yield* Token.mint

      const first = Option.getOrThrow(yield* Administrator.ensure(undefined))
      const second = yield* Administrator.ensure(undefined)
      assert.deepInclude(yield* whoIs(first), { username: "admin", isAdmin: true })
      assert.isTrue(Option.isNone(second))

      assert.isTrue(Option.isNone(yield* Administrator.ensure(ofSettings)))
      assert.isTrue(Option.isNone(yield* Administrator.ensure(ofSettings)))
      for (const valid of [first, ofSettings]) assert.deepInclude(yield* whoIs(valid), { username: "admin" })
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the first administrator", (it) => {
  it.effect("may have the token of the file put into the settings", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      yield* Administrator.ensure(undefined)
      const saved = yield* Administrator.mint(Administrator.username, "initial")

      yield* Administrator.ensure(saved)

      assert.deepInclude(yield* whoIs(saved), { username: "admin" })
    })
  )

  it.effect(
    "keeps the token before the one of the settings for a day, so that replicas change over in turn [LF-15]",
    () =>
      Effect.gen(function* () {
        const { user: whoIs } = yield* Access
        const { users } = yield* administrate
        const [oldest, older, newest] = [yield* Token.mint, yield* Token.mint, yield* Token.mint]
        const previous = Effect.map(users.listTokens({ params: { username: Administrator.username } }), (tokens) =>
          tokens.find(({ name }) => name === "environment-previous")
        )
        for (const token of [oldest, older, newest]) yield* Administrator.ensure(token)
        for (const valid of [older, newest]) assert.deepInclude(yield* whoIs(valid), { username: "admin" })
        assert.strictEqual((yield* Effect.flip(whoIs(oldest)))._tag, "Unauthenticated")

        // a replica that is not changed over yet starts again
        yield* Administrator.ensure(older)
        yield* Administrator.ensure(newest)
        for (const valid of [older, newest]) assert.deepInclude(yield* whoIs(valid), { username: "admin" })
        const { created_at, expires_at } = (yield* previous)!
        assert.isAtLeast(Duration.toHours(DateTime.distance(created_at, expires_at!)), 24)
        yield* Administrator.ensure(newest)
        assert.deepStrictEqual((yield* previous)?.expires_at, expires_at)
      })
  )

  it.effect("is made once by services that start together", () =>
    Effect.gen(function* () {
      const { user: whoIs } = yield* Access
      const shared = yield* Token.mint

      yield* Effect.replicateEffect(Administrator.ensure(shared), 6, { concurrency: "unbounded" })

      assert.deepInclude(yield* whoIs(shared), { username: "admin" })
    })
  )
})
