/** Keys that an agent declares itself, over plain HTTP to a running service. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const me = "/api/v2/workspaceagents/me"

layer(Service.layerWith({ AGENT_MAY_DECLARE_KEYS: "true" }), { excludeTestServices: true })(
  "an agent that may declare keys",
  (it) => {
    it.effect("declares them in addition to those that are declared for it, to a limit [HT-15]", () =>
      Effect.gen(function* () {
        const { id, token } = yield* People.agent("cpu")
        const sql = yield* SqlClient.SqlClient
        const post = (path: string, body: unknown) =>
          HttpClient.execute(
            HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(path, { headers: People.showing(token) }), body)
          )
        const declare = (keys: ReadonlyArray<unknown>) => post(`${me}/metadata-keys`, { keys })
        const declared = sql`
          SELECT key, display_name, script, interval::float8 / 1e9 AS interval
          FROM workspace_agent_metadata_descriptions WHERE workspace_agent_id = ${id} ORDER BY key`
        const many = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `k${index}` }))
        const keys = [
          { key: "cpu", display_name: "mine" },
          { key: "disk", interval: 0.5, timeout: 2 }
        ]

        for (const _ of [1, 2]) assert.strictEqual((yield* declare(keys)).status, 204)
        assert.deepStrictEqual(
          (yield* declared).map((row) => ({ ...row })),
          [
            { key: "cpu", display_name: "CPU", script: "measure cpu", interval: 10 },
            { key: "disk", display_name: "disk", script: "", interval: 0.5 }
          ]
        )
        assert.strictEqual((yield* post(`${me}/metadata`, { cpu: "1", disk: "2" })).status, 204)

        for (const [refused, field] of [
          [[], "keys[0]"],
          [[{ key: "" }], "keys[0].key"],
          [[{ key: "k".repeat(128) }], "keys[0].key"],
          [[{ key: "a" }, { key: "a" }], "keys"],
          [[{ key: "a", interval: -1 }], "keys[0].interval"],
          [[{ key: "a", timeout: 1e9 }], "keys[0].timeout"],
          [many(1_001), "keys"],
          [many(999), "keys"]
        ] as const) {
          const response = yield* declare(refused)
          assert.deepInclude(JSON.stringify(yield* response.json), `"field":"${field}"`)
          assert.strictEqual(response.status, 400)
        }
        assert.strictEqual((yield* declared).length, 2)
        assert.strictEqual((yield* declare(many(998))).status, 204)
      })
    )
  }
)

layer(Service.layer, { excludeTestServices: true })("an agent that may not declare keys", (it) => {
  it.effect("is told so, and has no more keys than before [HT-15]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent("cpu")
      const sql = yield* SqlClient.SqlClient
      const request = HttpClientRequest.post(`${me}/metadata-keys`, { headers: People.showing(token) })

      const { status } = yield* HttpClient.execute(
        HttpClientRequest.bodyJsonUnsafe(request, { keys: [{ key: "disk" }] })
      )

      assert.strictEqual(status, 403)
      const declared = yield* sql<{ key: string }>`
        SELECT key FROM workspace_agent_metadata_descriptions WHERE workspace_agent_id = ${id}`
      assert.deepStrictEqual(
        declared.map(({ key }) => key),
        ["cpu"]
      )
    })
  )
})
