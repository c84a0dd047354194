/** `PushContextState`, called as an agent calls it, over a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import * as ContextState from "../../../src/agentapi/calls/ContextState.ts"
import { AgentContextStore, type StoredSnapshot } from "../../../src/agentapi/ports/AgentContextStore.ts"
import { limits, maxVersion } from "../../../src/domain/AgentContext.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { calling, session } from "../../support/agentApi.ts"
import { agent } from "../../support/metadataBatcher.ts"

const connect = Effect.fnUntraced(function* ({
  isEnabled = true,
  replacing = Effect.succeed(true) as Effect.Effect<boolean, StoreError>
} = {}) {
  const pushed: Array<StoredSnapshot & { readonly initial: boolean }> = []
  const { PushContextState } = yield* ContextState.make.pipe(
    Effect.provide([
      Layer.succeed(ContextState.IsEnabled, isEnabled),
      Layer.succeed(AgentContextStore, {
        replace: (_, snapshot, { initial }) => {
          pushed.push({ ...snapshot, initial })
          return replacing
        },
        find: () => Effect.succeedNone
      })
    ])
  )
  return { pushed, call: calling(ContextState.PushContextStateRequest, PushContextState, session(agent(7))) }
})

const resource = { source: "/AGENTS.md", status: "OK", instruction_file: { content: "aGVsbG8=" } }

/** The rejection of a snapshot, of which nothing is stored. */
const refused = Effect.fnUntraced(function* (request: unknown) {
  const { call, pushed } = yield* connect()
  const error = yield* Effect.flip(call(request))
  assert.deepStrictEqual(pushed, [])
  return String(error)
})

describe("PushContextState", () => {
  it.effect("stores a snapshot with the time at which it came [CX-01]", () =>
    Effect.gen(function* () {
      const { call, pushed } = yield* connect()
      const request = {
        version: "9007199254740993",
        aggregate_hash: "AQI=",
        snapshot_error: "a file\0 cannot be read",
        initial: true,
        resources: [
          resource,
          { source: "/skill", source_path: "/home", status: "INVALID", error: "no name", skill: { name: "s" } },
          { source: "/mcp.json", status: "EXCLUDED", content_hash: "AA==", size_bytes: 9, mcp_config: {} },
          {
            source: "tools",
            status: "OK",
            mcp_server: {
              server_name: "git",
              tools: [{ name: "log", input_schema: { type: "object", deep: [null, 1] } }]
            }
          }
        ]
      }

      assert.deepStrictEqual(yield* call(request), { accepted: true })

      const [{ received_at, resources, ...snapshot }] = pushed as [(typeof pushed)[number]]
      assert.deepStrictEqual(snapshot, {
        version: 9_007_199_254_740_993n,
        aggregate_hash: "AQI=",
        snapshot_error: "a file cannot be read",
        initial: true
      })
      assert.strictEqual(DateTime.toEpochMillis(received_at), 0)
      assert.deepStrictEqual(
        resources.map(({ source, status }) => [source, status]),
        [
          ["/AGENTS.md", "ok"],
          ["/skill", "invalid"],
          ["/mcp.json", "excluded"],
          ["tools", "ok"]
        ]
      )
    })
  )

  it.effect("tells the agent that a snapshot was not accepted [CX-02]", () =>
    Effect.gen(function* () {
      const { call } = yield* connect({ replacing: Effect.succeed(false) })

      assert.deepStrictEqual(yield* call({}), { accepted: false })
    })
  )

  it.effect("rejects values beyond a limit, and names the limit [CX-03]", () =>
    Effect.gen(function* () {
      const hash = (bytes: number) => Buffer.alloc(bytes).toString("base64")
      const content = (bytes: number) => ({ content: hash(bytes) })
      const many = (count: number, of: object) =>
        Array.from({ length: count }, (_, index) => ({ ...resource, ...of, source: `${index}` }))
      // the largest body that there may be, in JSON with its braces
      const largest = Math.floor((limits.body - JSON.stringify({ content: "" }).length) / 4) * 3

      for (const [request, problem] of [
        [{ version: String(maxVersion + 1n) }, "version"],
        [{ version: "-1" }, "version"],
        [{ version: "x" }, "version"],
        [{ aggregate_hash: hash(limits.hash + 1) }, "64 bytes"],
        [{ aggregate_hash: "?" }, "base64"],
        [{ snapshot_error: "ä".repeat(limits.error / 2 + 1) }, "4096 bytes"],
        [{ resources: many(limits.resources + 1, {}) }, "1000 resources"],
        [{ resources: [{ ...resource, source: "" }] }, "source"],
        [{ resources: [{ ...resource, source: "ä".repeat(limits.source / 2 + 1) }] }, "1024 bytes"],
        [{ resources: [{ ...resource, source_path: "p".repeat(limits.sourcePath + 1) }] }, "4096 bytes"],
        [{ resources: [resource, resource] }, "once"],
        [{ resources: [{ ...resource, content_hash: hash(limits.hash + 1) }] }, "64 bytes"],
        [{ resources: [{ ...resource, error: "e".repeat(limits.error + 1) }] }, "4096 bytes"],
        [{ resources: [{ ...resource, size_bytes: -1 }] }, "size_bytes"],
        [{ resources: [{ ...resource, status: "STATUS_UNSPECIFIED" }] }, "status"],
        [{ resources: [{ ...resource, status: "7" }] }, "status"],
        [{ resources: [{ source: "/none", status: "UNREADABLE" }] }, "one body"],
        [{ resources: [{ ...resource, mcp_config: {} }] }, "one body"],
        [{ resources: [{ ...resource, instruction_file: content(largest + 3) }] }, "262144 bytes"],
        [{ resources: many(17, { instruction_file: content(largest) }) }, "4194304 bytes together"]
      ] as const) {
        assert.include(yield* refused(request), problem)
      }
      const { call } = yield* connect()
      for (const request of [
        { version: String(maxVersion), aggregate_hash: hash(limits.hash), snapshot_error: "e".repeat(limits.error) },
        { resources: many(limits.resources, {}) },
        { resources: many(16, { instruction_file: content(largest - 3) }) },
        { resources: [{ ...resource, source: "s".repeat(limits.source), content_hash: hash(limits.hash) }] }
      ]) {
        assert.deepStrictEqual(yield* call(request), { accepted: true })
      }
    })
  )

  it.effect("is not served where it is switched off [CX-04]", () =>
    Effect.gen(function* () {
      const { call, pushed } = yield* connect({ isEnabled: false })

      assert.strictEqual((yield* Effect.flip(call({})))._tag, "NotServed")
      assert.deepStrictEqual(pushed, [])
    })
  )

  it.effect("fails for now while the store cannot be reached", () =>
    Effect.gen(function* () {
      const cause = new Error("no route")
      const { call } = yield* connect({
        replacing: Effect.fail(new StoreError({ operation: "store", reason: "unavailable", cause }))
      })

      assert.strictEqual((yield* Effect.flip(call({})))._tag, "Unavailable")
    })
  )
})
