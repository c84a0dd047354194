import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as PgResourceMonitorStore from "../../src/storage/PgResourceMonitorStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { ResourceMonitorStore } from "../../src/agentapi/ports/ResourceMonitorStore.ts"

const never = DateTime.makeUnsafe("0001-01-01T00:00:00Z")

const [now, later] = [DateTime.makeUnsafe("2030-01-01T00:00:00.123Z"), DateTime.makeUnsafe("2030-01-01T00:30:00Z")]

/** Two agents, of which each has the same monitors. */
const monitored = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const ids = yield* Seed.agents(2, [])
  for (const id of ids) {
    yield* sql`
      INSERT INTO workspace_agent_memory_resource_monitors (agent_id, enabled, threshold) VALUES (${id}, true, 90)`
    yield* sql`
      INSERT INTO workspace_agent_volume_resource_monitors (agent_id, path, enabled, threshold)
      VALUES (${id}, '/home', true, 80), (${id}, '/data', false, 95)`
  }
  return ids
})

const memory = { enabled: true, threshold: 90, state: "ok", debouncedUntil: never } as const

const data = { path: "/data", enabled: false, threshold: 95, state: "ok", debouncedUntil: never } as const

const home = { path: "/home", enabled: true, threshold: 80, state: "ok", debouncedUntil: never } as const

layer(Layer.provideMerge(PgResourceMonitorStore.layer, Postgres.layer), { excludeTestServices: true })(
  "PgResourceMonitorStore",
  (it) => {
    it.effect("loads what watches an agent, volumes by their paths [RM-01]", () =>
      Effect.gen(function* () {
        const { load } = yield* ResourceMonitorStore
        const [agentId] = yield* monitored
        const [bare] = yield* Seed.agents(1, [])

        assert.deepStrictEqual(yield* load(agentId), { memory, volumes: [data, home] })
        assert.deepStrictEqual(yield* load(bare), { memory: null, volumes: [] })
      })
    )

    it.effect("writes state, debounce and time of one agent's monitors alone [RM-16]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { load, putMemory, putVolumes } = yield* ResourceMonitorStore
        const [agentId, other] = yield* monitored
        const changed = { state: "nok", debouncedUntil: later } as const

        yield* putMemory(agentId, { ...memory, ...changed }, now)
        yield* putVolumes(agentId, [{ ...home, ...changed }], now)

        assert.deepStrictEqual(yield* load(agentId), {
          memory: { ...memory, ...changed },
          volumes: [data, { ...home, ...changed }]
        })
        assert.deepStrictEqual(yield* load(other), { memory, volumes: [data, home] })
        assert.deepStrictEqual(
          yield* sql`
            SELECT 'memory' AS what FROM workspace_agent_memory_resource_monitors
            WHERE updated_at = ${DateTime.toDateUtc(now)} AND agent_id IN (${agentId}, ${other})
            UNION ALL
            SELECT path FROM workspace_agent_volume_resource_monitors
            WHERE updated_at = ${DateTime.toDateUtc(now)} AND agent_id IN (${agentId}, ${other})`,
          [{ what: "memory" }, { what: "/home" }]
        )
      })
    )

    it.effect("writes many volumes in one statement, and makes none that is gone", () =>
      Effect.gen(function* () {
        const { load, putVolumes } = yield* ResourceMonitorStore
        const [agentId] = yield* monitored
        const volumes = [data, home].map((volume) => ({ ...volume, state: "nok" as const, debouncedUntil: later }))

        yield* putVolumes(agentId, [...volumes, { ...home, path: "/gone" }], now)

        assert.deepStrictEqual((yield* load(agentId)).volumes, volumes)
      })
    )
  }
)
