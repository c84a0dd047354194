import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AgentContextStore, type StoredSnapshot } from "../../src/agentapi/ports/AgentContextStore.ts"
import { maxVersion, Resources } from "../../src/domain/AgentContext.ts"
import * as PgAgentContextStore from "../../src/storage/PgAgentContextStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const decodeResources = Schema.decodeUnknownSync(Resources)

const snapshot = (version: bigint, ...sources: ReadonlyArray<string>): StoredSnapshot => ({
  version,
  aggregate_hash: "AQI=",
  snapshot_error: "",
  received_at: DateTime.makeUnsafe("2026-03-01T12:00:00.123Z"),
  resources: decodeResources(
    sources.map((source) => ({
      source,
      status: "OK",
      mcp_server: { tools: [{ name: "\ud83d\ude00", input_schema: { "a\0": "b\0\ud800", deep: [1, { none: null }] } }] }
    }))
  )
})

layer(PgAgentContextStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgAgentContextStore",
  (it) => {
    it.effect("keeps the newest snapshot of each agent, as it came [CX-01]", () =>
      Effect.gen(function* () {
        const { find, replace } = yield* AgentContextStore
        const [agentId, other] = yield* Seed.agents(2, [])

        assert.isTrue(Option.isNone(yield* find(agentId)))
        for (const stored of [snapshot(1n, "/a", "/b"), snapshot(maxVersion, "/c")]) {
          assert.isTrue(yield* replace(agentId, stored, { initial: false }))
          assert.deepStrictEqual(yield* find(agentId), Option.some(stored))
        }
        assert.isTrue(Option.isNone(yield* find(other)))
      })
    )

    it.effect("accepts a version that is not newer as the first of a run alone [CX-02]", () =>
      Effect.gen(function* () {
        const { find, replace } = yield* AgentContextStore
        const [agentId] = yield* Seed.agents(1, [])
        yield* replace(agentId, snapshot(7n, "/a"), { initial: false })

        for (const version of [6n, 7n]) {
          assert.isFalse(yield* replace(agentId, snapshot(version, "/b"), { initial: false }))
        }
        assert.deepStrictEqual(yield* find(agentId), Option.some(snapshot(7n, "/a")))
        assert.isTrue(yield* replace(agentId, snapshot(1n, "/b"), { initial: true }))
        assert.deepStrictEqual(yield* find(agentId), Option.some(snapshot(1n, "/b")))
      })
    )

    it.effect("stores nothing for a deleted agent", () =>
      Effect.gen(function* () {
        const { find, replace } = yield* AgentContextStore
        const sql = yield* SqlClient.SqlClient
        const [agentId] = yield* Seed.agents(1, [])
        yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${agentId}`

        assert.isFalse(yield* replace(agentId, snapshot(1n), { initial: true }))
        assert.isTrue(Option.isNone(yield* find(agentId)))
      })
    )
  }
)
