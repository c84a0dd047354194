/** The routes of agents, and of the programs beside them, over plain HTTP to a running service. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import type * as Token from "../../src/access/Token.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import * as People from "../support/directory.ts"
import { samples } from "../support/metadata.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"
import { Agent } from "../../src/wire/generated/agent_pb.ts"
import { prebuildsUserId } from "../../src/domain/Workspace.ts"
import { uuidToBytes } from "../../src/agentapi/wire/Conversion.ts"

const me = "/api/v2/workspaceagents/me"

/** The status and the body of a response. */
const ask = Effect.fnUntraced(function* (
  method: "GET" | "POST" | "PATCH",
  path: string,
  token: Token.Token | undefined,
  body?: unknown
) {
  const request = HttpClientRequest.make(method)(path, { headers: token === undefined ? {} : People.showing(token) })
  const response = yield* HttpClient.execute(
    body === undefined
      ? request
      : typeof body === "string"
        ? HttpClientRequest.bodyText(request, body, "application/json")
        : HttpClientRequest.bodyJsonUnsafe(request, body)
  )
  const text = yield* response.text
  return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) }
})

const stored = Effect.fnUntraced(function* (id: Parameters<typeof samples>[0]) {
  yield* MetadataBatcher.use((batcher) => batcher.flush)
  return Object.fromEntries(Object.entries(yield* samples(id)).map(([key, [value, error]]) => [key, [value, error]]))
})

layer(Service.layer, { excludeTestServices: true })("an agent over plain HTTP", (it) => {
  it.effect("reports values by key, or samples as its calls have them [HT-03]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent("cpu", "mem", "up")

      const values = yield* ask("POST", `${me}/metadata`, token, { cpu: "42 %", mem: 7, up: true })
      const first = yield* stored(id)
      const list = yield* ask("POST", `${me}/metadata`, token, {
        metadata: [{ key: "cpu", result: { value: "43 %", error: "hot" } }]
      })

      assert.deepStrictEqual(
        [values, list],
        [
          { status: 204, body: undefined },
          { status: 204, body: undefined }
        ]
      )
      assert.deepStrictEqual(first, { cpu: ["42 %", ""], mem: ["7", ""], up: ["true", ""] })
      assert.deepStrictEqual((yield* stored(id))["cpu"], ["43 %", "hot"])
    })
  )

  it.effect("gets the names of undeclared keys, and a rejection when there is no other key [HT-04]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent("cpu")

      const some = yield* ask("POST", `${me}/metadata`, token, { cpu: "1", disk: "2" })
      const none = yield* ask("POST", `${me}/metadata`, token, { disk: "2" })

      assert.deepStrictEqual(some, { status: 200, body: { undeclared: ["disk"] } })
      assert.deepStrictEqual(none, {
        status: 400,
        body: {
          _tag: "Refused",
          message: "no key of the report is declared for this agent",
          validations: [{ field: "disk", detail: "is not declared for this agent" }]
        }
      })
      assert.deepStrictEqual(yield* stored(id), { cpu: ["1", ""] })
    })
  )

  it.effect("gets the original's error shape for what is not valid, with the field and the limit [HT-05, AP-10]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.agent("cpu")

      const long = yield* ask("POST", `${me}/metadata`, token, { cpu: "x".repeat(2_049) })
      const broken = yield* ask("POST", `${me}/metadata`, token, "{")
      const wrong = yield* ask("PATCH", `${me}/logs`, token, { logs: [{ output: "x", level: "loud" }] })
      const empty = yield* ask("PATCH", `${me}/logs`, token, { logs: [] })
      const source = yield* ask("POST", `${me}/log-source`, token, { id: "x", display_name: "y" })

      const id = "7d9a3c0e-9f0a-4b51-9f0e-0c2a3a1b2c3d"
      const icon = yield* ask("POST", `${me}/log-source`, token, { id, display_name: "y", icon: "x".repeat(2_049) })
      assert.deepStrictEqual(icon.body, {
        _tag: "Refused",
        message: "the request is not valid",
        validations: [{ field: "icon", detail: "Expected at most 2048 characters" }]
      })
      assert.deepStrictEqual(long.body, {
        _tag: "Refused",
        message: "the request is not valid",
        validations: [{ field: "cpu", detail: "must have at most 2048 bytes" }]
      })
      const values = yield* Effect.forEach([null, { a: 1 }, []], (cpu) => ask("POST", `${me}/metadata`, token, { cpu }))
      for (const { body } of values) {
        assert.deepStrictEqual(body, {
          _tag: "Refused",
          message: "the request is not valid",
          validations: [{ field: "cpu", detail: "Expected string | number | boolean" }]
        })
      }
      for (const { body, status } of [broken, wrong, empty, source, ...values]) {
        assert.strictEqual(status, 400)
        assert.isString((body as { message: unknown }).message)
        assert.doesNotHaveAnyKeys(body as object, ["title", "type"])
      }
      assert.include(JSON.stringify(wrong.body), "logs[0].level")
      const stranger = yield* ask("POST", `${me}/metadata`, undefined, { cpu: "1" })
      assert.strictEqual(stranger.status, 401, JSON.stringify(stranger.body))
    })
  )

  it.effect("names a source of logs once, appends lines, and learns of the limit [HT-06]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent()
      const sql = yield* SqlClient.SqlClient
      const source = { id: "7d9a3c0e-9f0a-4b51-9f0e-0c2a3a1b2c3d", display_name: "Kubernetes", icon: "/k8s.png" }

      const created = yield* ask("POST", `${me}/log-source`, token, source)
      const again = yield* ask("POST", `${me}/log-source`, token, source)
      const appended = yield* ask("PATCH", `${me}/logs`, token, {
        log_source_id: source.id,
        logs: [{ created_at: "2026-01-01T00:00:00Z", output: "pulled", level: "debug" }, { output: "started" }]
      })
      const lines = Array.from({ length: 1_100 }, () => ({ output: "x".repeat(1_024) }))
      const over = yield* ask("PATCH", `${me}/logs`, token, { log_source_id: source.id, logs: lines })

      assert.strictEqual(created.status, 201)
      assert.deepInclude(created.body, { ...source, workspace_agent_id: id })
      assert.deepStrictEqual(again, created)
      assert.deepStrictEqual(appended, { status: 200, body: null })
      assert.strictEqual(over.status, 413)
      const rows = yield* sql`
        SELECT output, level FROM workspace_agent_logs WHERE agent_id = ${id} ORDER BY id LIMIT 2`
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [
          { output: "pulled", level: "debug" },
          { output: "started", level: "info" }
        ]
      )
    })
  )

  it.effect("may send logs under a source that nobody has named, over its protocol too [HT-07]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const sql = yield* SqlClient.SqlClient
      const { call } = yield* WireAgent.connect(url, People.showing(token), "")

      yield* call(Agent.method.batchCreateLogs, {
        logSourceId: uuidToBytes("11111111-2222-4333-8444-555555555555"),
        logs: [{ output: "built" }]
      })

      const rows = yield* sql`SELECT output FROM workspace_agent_logs WHERE agent_id = ${id}`
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [{ output: "built" }]
      )
    })
  )

  it.effect("says what an app is doing, and gets an error for one that it has not [HT-08]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.agent()

      const unknown = yield* ask("PATCH", `${me}/app-status`, token, { app_slug: "ai", state: "working", message: "x" })
      const invalid = yield* ask("PATCH", `${me}/app-status`, token, { app_slug: "ai", state: "dancing" })

      assert.strictEqual(unknown.status, 400)
      assert.include(JSON.stringify(unknown.body), "no app of this slug")
      assert.include(JSON.stringify(invalid.body), "state")
    })
  )

  it.effect("learns at once that somebody has claimed its prebuilt workspace, and is pinged until then [HT-16]", () =>
    Effect.gen(function* () {
      const { owner, token, workspace } = yield* People.agent()
      const sql = yield* SqlClient.SqlClient
      const give = (ownerId: string) => sql`UPDATE workspaces SET owner_id = ${ownerId} WHERE id = ${workspace.id}`
      yield* give(prebuildsUserId)

      const response = yield* HttpClient.get(`${me}/reinit?wait=true`, { headers: People.showing(token) })
      const hasBegun = yield* Deferred.make<void>()
      const reading = yield* response.stream.pipe(
        Stream.decodeText,
        Stream.tap(() => Deferred.succeed(hasBegun, undefined)),
        Stream.mkString,
        Effect.forkScoped
      )
      yield* Deferred.await(hasBegun)
      assert.isUndefined(reading.pollUnsafe())
      yield* give(owner.id)
      const [ping, event, data, end, ...rest] = (yield* Fiber.join(reading)).split("\n").filter((line) => line !== "")

      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual([ping, event, end, rest], ["event: ping", "event: data", undefined, []])
      assert.deepStrictEqual(JSON.parse(data!.replace("data: ", "")), {
        workspace_id: workspace.id,
        reason: "prebuild_claimed",
        owner_id: owner.id
      })
      const after = yield* ask("GET", `${me}/reinit?wait=true`, token)
      assert.strictEqual(after.status, 409)
    })
  )

  it.effect("learns that there is no prebuilt workspace, no SSH key and no provider [HT-09]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.agent()

      const statuses = yield* Effect.forEach(["reinit?wait=true", "gitsshkey"], (path) =>
        Effect.map(ask("GET", `${me}/${path}`, token), ({ status }) => status)
      )

      assert.deepStrictEqual(statuses, [409, 404])
    })
  )

  for (const name of ["external-auth", "gitauth"]) {
    it.effect(`learns that there is no provider, or that it did not say which one it asks for: ${name} [HT-17]`, () =>
      Effect.gen(function* () {
        const { token } = yield* People.agent()

        const responses = yield* Effect.forEach(
          [
            "",
            "?match=",
            "?id=x&url=y",
            '?match=git"hub.com',
            "?url=github.com",
            "?id=github&listen=true",
            "?id=1&id=2"
          ],
          (query) => ask("GET", `${me}/${name}${query}`, token)
        )

        const missing = { status: 400, body: { _tag: "Refused", message: "'url' or 'id' must be provided!" } }
        const none = (url: string) => ({
          status: 404,
          body: {
            _tag: "Refused",
            message: `No matching external auth provider found in Coder for the url ${url}.`,
            detail: "External auth provider not found."
          }
        })
        const both = "'url' and 'id' cannot be provided together!"
        assert.deepStrictEqual(responses.slice(0, 6), [
          missing,
          missing,
          { status: 400, body: { _tag: "Refused", message: both } },
          none('"git\\"hub.com"'),
          none('"github.com"'),
          none('""')
        ])
        assert.strictEqual(responses[6]!.status, 400)
      })
    )
  }

  it.effect("learns the release whose API is served, and measures the latency, without a token [HT-10]", () =>
    Effect.gen(function* () {
      const { body, status } = yield* ask("GET", "/api/v2/buildinfo", undefined)
      const latency = yield* ask("GET", "/derp/latency-check", undefined)

      assert.strictEqual(status, 200)
      const { version } = body as { readonly version: string }
      assert.match(version, /^v2\.(3[1-9]|[4-9]\d)\.\d+(\+[\da-z-]+)?$/)
      assert.deepStrictEqual(latency, { status: 200, body: undefined })
    })
  )
})

layer(Service.layerWith({ METADATA_MAX_PENDING_PER_AGENT: "1", METADATA_FLUSH_INTERVAL: "1 hour" }), {
  excludeTestServices: true
})("an agent that reports more than there is room for", (it) => {
  it.effect("learns how many of its values were dropped [FT-72]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent("cpu", "disk", "mem")

      const { body, status } = yield* ask("POST", `${me}/metadata`, token, { cpu: "1", disk: "2", mem: "3" })
      assert.strictEqual(status, 503)
      assert.deepStrictEqual(body, {
        _tag: "Refused",
        message: "2 values were dropped because there is no room for them: report them again later"
      })
      assert.deepStrictEqual(yield* stored(id), { cpu: ["1", ""], disk: ["", ""], mem: ["", ""] })
      assert.strictEqual((yield* ask("POST", `${me}/metadata`, token, { disk: "2" })).status, 204)
    })
  )
})
