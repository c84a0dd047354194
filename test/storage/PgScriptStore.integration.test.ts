import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { LogSourceId, ScriptId } from "../../src/domain/Ids.ts"
import * as PgScriptStore from "../../src/storage/PgScriptStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type ScriptTiming, ScriptStore } from "../../src/agentapi/ports/ScriptStore.ts"

const timing = (scriptId: ScriptId): ScriptTiming => ({
  scriptId,
  startedAt: DateTime.makeUnsafe("2026-03-01T12:00:00Z"),
  endedAt: DateTime.makeUnsafe("2026-03-01T12:00:05Z"),
  exitCode: 3,
  stage: "cron",
  status: "pipes_left_open"
})

layer(PgScriptStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgScriptStore",
  (it) => {
    it.effect("stores a run of an agent's own script, and of no other [SC-02, SC-06]", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { addTiming } = yield* ScriptStore
        const [agentId, other] = yield* Seed.agents(2, [])
        const scriptId = Seed.newId(ScriptId)
        yield* sql`
          INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script)
          VALUES (${scriptId}, ${agentId}, ${Seed.newId(LogSourceId)}, 'true')`

        assert.isTrue(yield* addTiming(agentId, timing(scriptId)))
        assert.isFalse(yield* addTiming(other, timing(scriptId)))
        assert.isFalse(yield* addTiming(agentId, timing(Seed.newId(ScriptId))))

        assert.deepStrictEqual(yield* sql`SELECT * FROM workspace_agent_script_timings`, [
          {
            script_id: scriptId,
            started_at: new Date("2026-03-01T12:00:00Z"),
            ended_at: new Date("2026-03-01T12:00:05Z"),
            exit_code: 3,
            stage: "cron",
            status: "pipes_left_open"
          }
        ])
      })
    )
  }
)
