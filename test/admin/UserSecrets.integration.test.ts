/** The secrets of users over HTTP, and on their way to agents. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import type * as Token from "../../src/access/Token.ts"
import { Agent as Proto } from "../../src/wire/generated/agent_pb.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

const send = Effect.fnUntraced(function* (
  method: "GET" | "PUT" | "DELETE",
  username: string,
  token: Token.Token,
  name?: string,
  body?: unknown
) {
  const path = `/api/v2/users/${username}/secrets${name === undefined ? "" : `/${encodeURIComponent(name)}`}`
  const response = yield* HttpClient.execute(
    HttpClientRequest.make(method)(path, {
      headers: People.showing(token),
      ...(body === undefined ? {} : { body: HttpBody.jsonUnsafe(body) })
    })
  )
  return { status: response.status, text: yield* response.text }
})

const value = "opensesame-7c1f"

/** The variables that the original reserves, and one for each prefix that it reserves. */
const reservedVariables = [
  ..."PATH HOME SHELL USER LOGNAME PWD OLDPWD LANG TERM IFS CDPATH ENV BASH_ENV TMPDIR TMP TEMP HOSTNAME".split(" "),
  ..."SSH_AUTH_SOCK SSH_CLIENT SSH_CONNECTION SSH_TTY EDITOR VISUAL PAGER".split(" "),
  ..."XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME".split(" "),
  ..."CODER VSCODE_PROXY_URI CS_DISABLE_GETTING_STARTED_OVERRIDE".split(" "),
  ..."CODER_A GIT_A LC_A LD_A DYLD_A".split(" ")
]

layer(Service.layer, { excludeTestServices: true })("the secrets of users", (it) => {
  it.effect("reach the agents of their user over both protocols, as they are at that time [MF-10]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { owner, token } = yield* People.agent()
      const { call } = yield* WireAgent.connect(url, People.showing(token))
      const contract = yield* Agent.client(url, People.showing(token))
      const both = Effect.gen(function* () {
        const { secrets } = yield* call(Proto.method.getManifest, {})
        const ofContract = (yield* contract.GetManifest({})).secrets
        const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
        return [
          secrets.map(({ envName, filePath, value }) => [envName, filePath, text(value)]),
          ofContract.map(({ env_name, file_path, value }) => [env_name, file_path, text(Redacted.value(value))])
        ]
      })
      assert.deepStrictEqual(yield* both, [[], []])

      yield* send("PUT", owner.username, owner.token, "b", { env_name: "NPM_TOKEN", value: `${value} ä` })
      yield* send("PUT", owner.username, owner.token, "a", { file_path: "~/.npmrc", value })

      const expected = [
        ["", "~/.npmrc", value],
        ["NPM_TOKEN", "", `${value} ä`]
      ]
      assert.deepStrictEqual(yield* both, [expected, expected])
    })
  )

  it.effect("are managed by their user and by administrators alone [MF-11]", () =>
    Effect.gen(function* () {
      const [owner, stranger, admin] = [
        yield* People.user(),
        yield* People.user(),
        yield* People.user({ isAdmin: true })
      ]
      const put = (token: Token.Token, name = "npm") =>
        Effect.map(send("PUT", owner.username, token, name, { env_name: name, value }), ({ status }) => status)

      assert.strictEqual(yield* put(stranger.token), 403)
      assert.strictEqual(yield* put(owner.token), 200)
      assert.strictEqual(yield* put(admin.token), 200)
      for (const [token, status] of [
        [stranger.token, 403],
        [owner.token, 200],
        [admin.token, 200]
      ] as const) {
        assert.strictEqual((yield* send("GET", owner.username, token)).status, status)
      }
      assert.strictEqual((yield* send("DELETE", owner.username, stranger.token, "npm")).status, 403)
      assert.strictEqual((yield* send("DELETE", owner.username, owner.token, "npm")).status, 204)
      assert.strictEqual((yield* send("DELETE", owner.username, owner.token, "npm")).status, 404)
    })
  )

  it.effect("show their values in no response and in no log record, of failures neither [MF-11]", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* Service.TestService
      const { owner, token } = yield* People.agent()
      const responses = [
        yield* send("PUT", owner.username, owner.token, "npm", { env_name: "NPM_TOKEN", value }),
        yield* send("PUT", owner.username, owner.token, "other", { env_name: "NPM_TOKEN", value }),
        yield* send("PUT", owner.username, owner.token, "npm", { env_name: "NPM TOKEN", value }),
        yield* send("PUT", owner.username, owner.token, "npm", { env_name: "A", value: `${value}\0` }),
        yield* send("PUT", owner.username, owner.token, "npm", { env_name: "A", value: value.repeat(10_000) }),
        yield* send("PUT", owner.username, owner.token, "npm", { env_name: "A", value: [value] }),
        yield* send("GET", owner.username, owner.token)
      ]
      const { call } = yield* WireAgent.connect(url, People.showing(token))
      const { secrets } = yield* call(Proto.method.getManifest, {})

      assert.lengthOf(secrets, 1)
      assert.deepStrictEqual(
        responses.map(({ status }) => status),
        [200, 409, 400, 400, 400, 400, 200]
      )
      const shown = [...responses.map(({ text }) => text), ...logs].join("\n")
      assert.include(shown, "NPM_TOKEN")
      assert.notInclude(shown, value)
      assert.notInclude(shown, Buffer.from(value).toString("hex"))
      assert.notInclude(shown, btoa(value).slice(0, 12))
    })
  )

  it.effect("are refused with the field and the limit [MF-12]", () =>
    Effect.gen(function* () {
      const { token, username } = yield* People.user()
      const named =
        "Expected a name of 1 to 64 letters, digits, dots, dashes and underscores, letters or digits at both ends"
      const variable = "Expected letters, digits and underscores, the first one no digit"
      const reserved = "Expected a name that is not reserved"
      const text = "Expected text without NUL or half a character"
      const cases: ReadonlyArray<readonly [string, object, string, string]> = [
        ["a ", { env_name: "A", value }, "name", named],
        ["a/b", { env_name: "A", value }, "name", named],
        ["a".repeat(65), { env_name: "A", value }, "name", named],
        ["a", { value }, "env_name", "Expected the name of a variable, unless there is a file_path"],
        ["a", { env_name: "1A", value }, "env_name", variable],
        ["a", { env_name: "A-B", value }, "env_name", variable],
        ["a", { env_name: "A".repeat(257), value }, "env_name", "Expected at most 256 bytes"],
        ...reservedVariables.flatMap((name) =>
          [name, name.toLowerCase()].map((env_name) => ["a", { env_name, value }, "env_name", reserved] as const)
        ),
        ["a", { file_path: "a", value }, "file_path", "Expected a path that begins with / or ~/"],
        ["a", { file_path: "~a", value }, "file_path", "Expected a path that begins with / or ~/"],
        ["a", { file_path: "/\0", value }, "file_path", text],
        ["a", { file_path: `/${"a".repeat(4_096)}`, value }, "file_path", "Expected at most 4096 bytes"],
        ["a", { env_name: "A", value: "a\0" }, "value", text],
        ["a", { env_name: "A", value: "" }, "value", "Expected a value with a length of at least 1"],
        ["a", { env_name: "A", value: "a".repeat(24_577) }, "value", "Expected at most 24576 bytes"],
        ["a", { env_name: "A" }, "value", "Missing key"],
        ["a", { env_name: "A", value, description: "" }, "description", "Expected no excess property"]
      ]

      for (const [name, body, field, detail] of cases) {
        const { status, text } = yield* send("PUT", username, token, name, body)
        assert.deepStrictEqual(
          [status, JSON.parse(text).validations],
          [400, [{ field, detail }]],
          JSON.stringify([name.slice(0, 20), field])
        )
      }
      for (const [name, body] of [
        ["a", { env_name: "_a1", value: "a".repeat(24_576) }],
        ["a".repeat(64), { file_path: `~/${"a".repeat(4_094)}`, value: "line\nline" }],
        ["x", { env_name: "A".repeat(256), value: "a" }]
      ] as const) {
        yield* send("DELETE", username, token, "a")
        assert.strictEqual((yield* send("PUT", username, token, name, body)).status, 200)
      }
    })
  )
})
