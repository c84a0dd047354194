/** Requests of administrators, and their rejections. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import type * as Token from "../../src/access/Token.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as ErrorResponse from "../../src/platform/ErrorResponse.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const Problem = Schema.Struct({ _tag: Schema.Literal("BadRequest"), ...ErrorResponse.fields })

const decodeProblem = Schema.decodeUnknownEffect(Problem)

const post = Effect.fnUntraced(function* (token: Token.Token, path: string, body: string) {
  return yield* HttpClientRequest.post(path).pipe(
    HttpClientRequest.setHeaders(People.showing(token)),
    HttpClientRequest.bodyText(body, "application/json"),
    HttpClient.execute
  )
})

/** Posts a body that is refused, and answers what it is told: the field and what it must be. */
const refusal = Effect.fnUntraced(function* (path: string, body: unknown) {
  const { token } = yield* People.user({ isAdmin: true })
  const response = yield* post(token, path, typeof body === "string" ? body : JSON.stringify(body))
  const { validations = [] } = yield* Effect.flatMap(response.json, decodeProblem)
  return validations.map(({ detail, field }) => [field, detail])
})

const name = "Expected a name of 1 to 64 letters, digits, dots, dashes and underscores, letters or digits at both ends"

layer(Service.layer, { excludeTestServices: true })("AdminApi", (it) => {
  it.effect("rejects names that do not fit into an address, and says which do", () =>
    Effect.gen(function* () {
      for (const bad of ["", "-", "a-", "_a", "a b", "a/b", "ä", "a".repeat(65), "a\0"]) {
        assert.deepStrictEqual(yield* refusal("/api/v2/users", { username: bad }), [["username", name]])
      }
      assert.deepStrictEqual(yield* refusal("/api/v2/workspaces", { name: "a b", owner: "ada" }), [["name", name]])
      assert.deepStrictEqual(yield* refusal("/api/v2/users/a%20b/tokens", {}), [["username", name]])
    })
  )

  it.effect("takes names of 1 and of 64 characters", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user({ isAdmin: true })

      for (const good of ["0", "a.b-c_d", "A".repeat(64)]) {
        assert.strictEqual((yield* post(token, "/api/v2/users", JSON.stringify({ username: good }))).status, 201)
      }
    })
  )

  it.effect("rejects fields that are missing, of another type or unknown, and a body that is no JSON", () =>
    Effect.gen(function* () {
      const cases = [
        [{}, "username", "Missing key"],
        [{ username: 5 }, "username", "Expected string"],
        [{ username: null }, "username", "Expected string"],
        [{ username: "ada", is_admin: "yes" }, "is_admin", "Expected boolean"],
        [{ username: "ada", isAdmin: true }, "isAdmin", "Expected no excess property"],
        [[], "", "Expected object"],
        ["", "", "Expected object"],
        ["{", "", "Expected a valid JSON body"]
      ] as const

      for (const [body, field, message] of cases) {
        assert.deepStrictEqual(yield* refusal("/api/v2/users", body), [[field === "" ? "payload" : field, message]])
      }
    })
  )

  it.effect("rejects invalid agents, and names the field and the limit [AG-07]", () =>
    Effect.gen(function* () {
      const { workspace } = yield* People.agent()
      const path = `/api/v2/workspaces/${workspace.id}/agents`
      const many = (count: number, of: (index: number) => object) => Array.from({ length: count }, (_, i) => of(i))
      const agents = [
        ["agents", [], "Expected a value with a length of at least 1"],
        ["agents", many(1_001, (i) => ({ name: `a${i}` })), "Expected a value with a length of at most 1000"],
        ["agents", [{ name: "main" }, { name: "MAIN" }], "Expected each name once"],
        ["agents[1].name", [{ name: "main" }, { name: "-" }], name],
        ["agents[0].token", [{ name: "main", token: "mine" }], "Expected no excess property"],
        [
          "agents[0].scripts[0].cron",
          [{ name: "main", scripts: [{ display_name: "a", script: "true", cron: "at dawn" }] }],
          "Expected an expression of cron with the seconds first, such as 0 30 6 * * 1-5"
        ]
      ] as const
      const text = "Expected text without NUL or half a character"
      const metadata = [
        ["", many(1_001, (i) => ({ key: `k${i}` })), "Expected a value with a length of at most 1000"],
        ["", [{ key: "cpu" }, { key: "cpu" }], "Expected each key once"],
        ["[0].key", [{}], "Missing key"],
        ["[0].key", [{ key: "" }], "Expected a value with a length of at least 1"],
        ["[0].key", [{ key: "k".repeat(128) }], "Expected a value with a length of at most 127"],
        ["[0].key", [{ key: "a\0b" }], text],
        ["[1].display_name", [{ key: "a" }, { key: "b", display_name: "\ud800" }], text],
        [
          "[0].display_name",
          [{ key: "a", display_name: "n".repeat(128) }],
          "Expected a value with a length of at most 127"
        ],
        ["[0].script", [{ key: "a", script: "echo \0" }], text],
        ["[0].script", [{ key: "a", script: "s".repeat(65_536) }], "Expected a value with a length of at most 65535"],
        ["[0].interval", [{ key: "a", interval: -1 }], "Expected a value between 0 and 31536000"],
        ["[0].interval", [{ key: "a", interval: "10" }], "Expected number"],
        ["[0].interval", [{ key: "a", interval: null }], "Expected number"],
        ["[0].timeout", [{ key: "a", timeout: 1e300 }], "Expected a value between 0 and 31536000"],
        ["[0].display_order", [{ key: "a", display_order: 1.5 }], "Expected an integer"],
        ["[0].display_order", [{ key: "a", display_order: 1e7 }], "Expected a value between -1000000 and 1000000"],
        ["[0].displayname", [{ key: "a", displayname: "A" }], "Expected no excess property"]
      ] as const

      for (const [field, value, message] of agents) {
        assert.deepStrictEqual(yield* refusal(path, { agents: value }), [[field, message]])
      }
      for (const [field, value, message] of metadata) {
        const at = `agents[0].metadata${field}`
        assert.deepStrictEqual(yield* refusal(path, { agents: [{ name: "new", metadata: value }] }), [[at, message]])
      }
      assert.deepStrictEqual(
        (yield* (yield* Directory).agents(workspace.id)).map((agent) => agent.name),
        ["main"]
      )
    })
  )

  it.effect("has a default for everything but names and keys", () =>
    Effect.gen(function* () {
      const { owner, workspace } = yield* People.agent()
      const { token } = yield* People.user({ isAdmin: true })
      const create = Effect.fnUntraced(function* (path: string, body: object) {
        const response = yield* post(token, path, JSON.stringify(body))
        assert.strictEqual(response.status, 201)
        return yield* response.json
      })

      assert.deepInclude(yield* create("/api/v2/users", { username: People.newName("user") }), { is_admin: false })
      assert.hasAllKeys(yield* create(`/api/v2/users/${owner.username}/tokens`, {}), ["token"])
      const [bare, described] = (yield* create(`/api/v2/workspaces/${workspace.id}/agents`, {
        agents: [{ name: "bare" }, { name: "described", metadata: [{ key: "cpu" }] }]
      })) as ReadonlyArray<{ readonly metadata: unknown }>
      assert.deepStrictEqual(bare?.metadata, [])
      assert.deepStrictEqual(described?.metadata, [
        { key: "cpu", display_name: "cpu", script: "", interval: 10, timeout: 10, display_order: 0 }
      ])
    })
  )

  it.effect("takes agents at their limits", () =>
    Effect.gen(function* () {
      const { workspace } = yield* People.agent()
      const { token } = yield* People.user({ isAdmin: true })
      const key = {
        key: "k".repeat(127),
        display_name: "ü".repeat(127),
        script: "s".repeat(65_535),
        interval: 31_536_000,
        timeout: 0,
        display_order: -1_000_000
      }

      const response = yield* post(
        token,
        `/api/v2/workspaces/${workspace.id}/agents`,
        JSON.stringify({ agents: [{ name: "new", metadata: [key] }] })
      )

      assert.strictEqual(response.status, 201)
      const [created] = (yield* response.json) as ReadonlyArray<{ readonly metadata: unknown }>
      assert.deepStrictEqual(created?.metadata, [key])
    })
  )

  it.effect("rejects ids that are no UUIDs", () =>
    Effect.gen(function* () {
      const uuid = [["workspace", "Expected a UUID"]]

      assert.deepStrictEqual(yield* refusal("/api/v2/workspaces/mine/agents", { agents: [{ name: "main" }] }), uuid)
      assert.deepStrictEqual(yield* refusal("/api/v2/workspaceagents/mine/token", ""), [["agent", "Expected a UUID"]])
    })
  )
})
