/** Logs, runs of scripts, connections and boundaries, as they come over the connection of an agent to a running service. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { UserSessionId, LogSourceId, nil, ScriptId } from "../../../src/domain/Ids.ts"
import * as Agent from "../../support/agent.ts"
import * as People from "../../support/directory.ts"
import { newId } from "../../support/seed.ts"
import * as Service from "../../support/service.ts"

const timing = (script_id: ScriptId) => ({
  script_id,
  start: "2026-03-01T12:00:00Z",
  end: "2026-03-01T12:00:05Z",
  exit_code: 0,
  stage: "START",
  status: "OK"
})

const connection = { id: newId(UserSessionId), action: "CONNECT", type: "SSH", timestamp: "2026-03-01T12:00:00Z" }

const boundaryLogs = [{ allowed: true, http_request: { method: "GET", url: "https://example.com/?token=secret" } }]

const connect = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const { id, token } = yield* People.agent()
  const connection = yield* Agent.connect(url, People.showing(token))
  const call = (tag: string, payload: unknown) =>
    Agent.exchange(connection, JSON.stringify({ _tag: "Request", id: "1", tag, payload, headers: [] }))
  return { id, call }
})

const answer = (value: unknown) => ({ _tag: "Exit", requestId: "1", exit: { _tag: "Success", value } })

layer(Service.layer, { excludeTestServices: true })("an agent", (it) => {
  it.effect("has its reports stored, and the requests at its boundary logged [LG-04, SC-06, CL-08, BL-01]", () =>
    Effect.gen(function* () {
      const { logged } = yield* Service.TestService
      const sql = yield* PgClient.PgClient
      const { call, id } = yield* connect
      const scriptId = newId(ScriptId)
      yield* sql`
        INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script)
        VALUES (${scriptId}, ${id}, ${newId(LogSourceId)}, 'true')`

      assert.deepStrictEqual(
        yield* call("BatchCreateLogs", { log_source_id: nil, logs: [{ output: "one", level: "INFO" }] }),
        answer({ log_limit_exceeded: false })
      )
      assert.deepStrictEqual(yield* call("ScriptCompleted", { timing: timing(scriptId) }), answer({}))
      assert.deepStrictEqual(yield* call("ReportConnection", { connection }), answer({}))
      assert.deepStrictEqual(
        yield* call("ReportConnection", { connection: { ...connection, action: "DISCONNECT", reason: "gone" } }),
        answer({})
      )
      assert.deepStrictEqual(yield* call("ReportBoundaryLogs", { logs: boundaryLogs }), answer({}))

      const rows = yield* sql`
        SELECT
          (SELECT count(*) FROM workspace_agent_logs WHERE agent_id = ${id})::int AS logs,
          (SELECT count(*) FROM workspace_agent_script_timings WHERE script_id = ${scriptId})::int AS runs,
          (SELECT disconnect_reason FROM connection_logs WHERE connection_id = ${connection.id}) AS reason`
      assert.deepStrictEqual(rows, [{ logs: 1, runs: 1, reason: "gone" }])
      assert.notInclude(yield* logged("boundary request", id), "secret")
    })
  )

  it.effect("is told which part of a report is wrong [LG-03, SC-01, SC-02, SC-05, CL-02, CL-03]", () =>
    Effect.gen(function* () {
      const { call } = yield* connect
      const good = timing(newId(ScriptId))
      const wrong: ReadonlyArray<readonly [tag: string, payload: unknown, field: string]> = [
        ["BatchCreateLogs", { log_source_id: "agent", logs: [] }, "log_source_id"],
        ["BatchCreateLogs", { log_source_id: nil, logs: [{}, { level: "LOUD" }] }, "logs[1].level"],
        ["ScriptCompleted", {}, "timing"],
        ["ScriptCompleted", { timing: good }, "timing.script_id"],
        ["ScriptCompleted", { timing: { ...good, end: undefined } }, "timing.end"],
        ["ScriptCompleted", { timing: { ...good, start: good.end, end: good.start } }, "timing"],
        ["ReportConnection", { connection: { ...connection, id: nil } }, "connection.id"],
        ["ReportConnection", { connection: { ...connection, type: "TELNET" } }, "connection.type"],
        ["ReportBoundaryLogs", { logs: [{ allowed: "yes" }] }, "logs[0].allowed"]
      ]
      for (const [tag, payload, field] of wrong) {
        assert.deepInclude(Agent.refusal(yield* call(tag, payload)), { _tag: "InvalidRequest", field }, tag)
      }
    })
  )
})
