/** `metadata-batcher agent`, as a process of its own against a running service on a real Postgres. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, FileSystem, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { createServer } from "node:http"
import * as Path from "node:path"
import type { AgentId } from "../../src/domain/Ids.ts"
import { LogSourceId, ScriptId } from "../../src/domain/Ids.ts"
import * as Proxy from "../faults/Proxy.ts"
import * as World from "../faults/World.ts"
import * as People from "../support/directory.ts"
import { emptyFolder } from "../support/folder.ts"
import { portOf } from "../support/localServer.ts"
import * as Seed from "../support/seed.ts"
import * as Service from "../support/service.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as Watcher from "../support/watcher.ts"

const key = (name: string, script: string, { interval = 1, timeout = 1 } = {}) => ({
  ...People.describeKey(name),
  script,
  interval: Duration.seconds(interval),
  timeout: Duration.seconds(timeout)
})

const start = (url: string, token: Redacted.Redacted<string>, ...flags: ReadonlyArray<string>) =>
  ServiceProcess.start(["agent", ...flags], { CODER_AGENT_URL: url, CODER_AGENT_TOKEN: Redacted.value(token) })

/** The newest samples of an agent, as its owner sees them. */
const watch = Effect.fnUntraced(function* ({ id, owner }: Effect.Success<ReturnType<typeof People.agent>>) {
  const { next } = yield* Watcher.overWebSocket(id, People.showing(owner.token))
  let samples: ReadonlyMap<string, readonly [value: string, error: string]> = new Map()
  const advance = Effect.map(next, (event) => {
    if (event.type === "data") {
      samples = new Map(event.data.map(({ description, result }) => [description.key, [result.value, result.error]]))
    }
  })
  /** Waits until the newest sample of a key is new. */
  const sample = (key: string, before: readonly [string, string] = ["", ""]) =>
    Effect.repeat(
      Effect.map(advance, () => samples.get(key) ?? before),
      {
        until: ([value, error]) => value !== before[0] || error !== before[1]
      }
    )
  return sample
})

const lifecycleOf = (id: AgentId) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(sql`SELECT lifecycle_state FROM workspace_agents WHERE id = ${id}`, ([row]) => row!["lifecycle_state"])
  )

const logsOf = (id: AgentId) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(sql`SELECT output FROM workspace_agent_logs WHERE agent_id = ${id} ORDER BY id`, (rows) =>
      rows.map(({ output }) => String(output))
    )
  )

const timingsOf = (id: AgentId) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql<{ stage: string; status: string; exit_code: number }>`
        SELECT stage, status, exit_code FROM workspace_agent_script_timings
        JOIN workspace_agent_scripts ON id = script_id
        WHERE workspace_agent_id = ${id} ORDER BY stage`,
      (rows) => rows.map((row) => ({ ...row }))
    )
  )

const declareScript = (
  id: AgentId,
  script: string,
  {
    cron = "",
    stage,
    timeout = 0
  }: { readonly cron?: string; readonly stage?: "start" | "stop"; readonly timeout?: number }
) =>
  SqlClient.SqlClient.use(
    (sql) => sql`
      INSERT INTO workspace_agent_scripts
        (id, workspace_agent_id, log_source_id, script, run_on_start, run_on_stop, cron, timeout_seconds)
      VALUES (${Seed.newId(ScriptId)}, ${id}, ${Seed.newId(LogSourceId)}, ${script}, ${stage === "start"},
        ${stage === "stop"}, ${cron}, ${timeout})`
  )

/** An empty file, to which scripts and the test append lines. */
const growingFile = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const file = Path.join(yield* emptyFolder, "lines")
  yield* fs.writeFileString(file, "")
  return { file, append: fs.writeFileString(file, "a line\n", { flag: "a" }) }
})

/** Waits until a file has so many lines. */
const untilLines = (file: string, count: number) =>
  FileSystem.FileSystem.use((fs) => World.settle(fs.readFileString(file), (text) => text.split("\n").length > count))

const environment = { AGENT_MAY_DECLARE_KEYS: "true", METADATA_FLUSH_INTERVAL: "100 millis" }

layer(Service.layerWith(environment), { excludeTestServices: true })("the agent of the command line", (it) => {
  it.effect("reports the keys of its manifest and of its own, and ends cleanly [AG-01, AG-02, AG-06]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const created = yield* People.agentDeclaring([
        key("ticks", "date +%s%N"),
        key("once", "echo one; echo two >&2", { interval: 0, timeout: 60 }),
        key("bad", "echo broken; exit 3", { timeout: 60 }),
        key("slow", "echo begun; sleep 60", { timeout: 3 }),
        key("none", "")
      ])
      const { id, token } = created
      const sample = yield* watch(created)
      const agent = yield* start(`${url}/`, token, "--key", "own=echo $((6*7))", "--interval", "1 second")

      yield* agent.line(/^connected to .+ as .+\.main, reporting own, bad, once, slow, ticks$/)
      yield* agent.line(/^ready$/)
      assert.strictEqual(yield* lifecycleOf(id), "ready")
      const seen = yield* Effect.all(
        Object.fromEntries(["ticks", "own", "once", "bad", "slow"].map((name) => [name, sample(name)]))
      )
      assert.deepInclude(seen, {
        own: ["42", ""],
        once: ["one\ntwo", ""],
        bad: ["broken", "exit status 3"],
        slow: ["begun", "the script did not end in time"]
      })
      yield* sample("ticks", seen["ticks"])

      yield* agent.kill("SIGTERM")
      assert.strictEqual(yield* agent.exit, 0)
      assert.strictEqual(yield* lifecycleOf(id), "off")
      assert.match(agent.output(), /\nended\n$/)
    })
  )

  it.effect("runs the scripts of its start and of its end, and logs their output and its input [AG-03]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      yield* declareScript(id, "echo installed; exit 7", { stage: "start" })
      yield* declareScript(id, "echo cleaned up", { stage: "stop" })

      const agent = yield* ServiceProcess.startThrough(
        ["sh", "-c", `exec "$0" "$@" < ${Path.resolve("test/agent/input.txt")}`],
        ["agent", "--log-input"],
        { CODER_AGENT_URL: url, CODER_AGENT_TOKEN: Redacted.value(token) }
      )
      yield* agent.line(/^ready, but a start script failed$/)
      assert.strictEqual(yield* lifecycleOf(id), "start_error")

      yield* agent.kill("SIGINT")
      assert.strictEqual(yield* agent.exit, 0)
      const lines = yield* logsOf(id)
      assert.sameMembers([...lines], ["a first line", "a second line", "installed", "cleaned up"])
      assert.strictEqual(lines.at(-1), "cleaned up")
      assert.deepStrictEqual(yield* timingsOf(id), [
        { stage: "start", status: "exit_failure", exit_code: 7 },
        { stage: "stop", status: "ok", exit_code: 0 }
      ])
    })
  )

  it.effect("makes no call again that was under way when its end came [AG-03]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const sql = yield* SqlClient.SqlClient
      const { id, token } = yield* People.agent()
      yield* declareScript(id, "echo installed", { stage: "start" })

      const agent = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`LOCK TABLE workspace_agent_logs, workspace_agent_script_timings IN SHARE MODE`
          const agent = yield* start(url, token)
          yield* agent.line(/^ready$/)
          yield* World.settle(
            sql`SELECT FROM pg_locks JOIN pg_database ON oid = database
              WHERE datname = current_database() AND NOT granted AND relation IN
              ('workspace_agent_logs'::regclass, 'workspace_agent_script_timings'::regclass)`,
            ({ length }) => length === 2
          )
          yield* agent.kill("SIGINT")
          return agent
        })
      )

      assert.strictEqual(yield* agent.exit, 0)
      assert.deepStrictEqual(yield* logsOf(id), ["installed"])
      assert.deepStrictEqual(yield* timingsOf(id), [{ stage: "start", status: "ok", exit_code: 0 }])
    })
  )

  it.effect("runs scripts that have a schedule when they are due, and names those whose schedule is none [AG-07]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const { file } = yield* growingFile
      yield* declareScript(id, `echo run; echo >> ${file}`, { cron: "* * * * *" })
      yield* declareScript(id, "echo never", { cron: "at dawn" })
      yield* declareScript(id, "sleep 1.1; echo started", { stage: "start" })

      const agent = yield* start(url, token)
      yield* agent.line(/^ready$/)
      yield* untilLines(file, 2)
      yield* agent.kill("SIGTERM")
      assert.strictEqual(yield* agent.exit, 0)
      assert.match(agent.output(), /^script .+ has no schedule of cron: /m)

      assert.deepStrictEqual((yield* logsOf(id)).slice(0, 3), ["started", "run", "run"])
      assert.deepInclude(yield* timingsOf(id), { stage: "cron", status: "ok", exit_code: 0 })
    })
  )

  it.effect("runs its start scripts once, whatever becomes of the connection, and reports late ones [AG-08]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const fs = yield* FileSystem.FileSystem
      const { append, file } = yield* growingFile
      const begun = `${file}-begun`
      // a line may come twice whose call the connection cuts off, so the script logs nothing before it is there again
      const script = `echo begun >> ${begun}; until [ -s ${file} ]; do sleep 0.05; done; echo over`
      yield* declareScript(id, script, { stage: "start" })
      yield* declareScript(id, "sleep 60", { stage: "start", timeout: 1 })
      yield* declareScript(id, "exit 1", { stage: "stop" })
      const proxy = yield* Proxy.make(url)

      const agent = yield* start(proxy.url, token)
      yield* agent.line(/^connected to /)
      yield* proxy.cut
      yield* agent.line(/^the connection to .+ broke$/)
      yield* agent.line(/^connected to /)
      assert.strictEqual(yield* World.settle(lifecycleOf(id), (state) => state !== "created"), "starting")
      yield* append
      yield* agent.line(/^ready, but a start script did not end in time$/)
      assert.strictEqual(yield* lifecycleOf(id), "start_timeout")
      yield* agent.kill("SIGTERM")
      assert.strictEqual(yield* agent.exit, 0)

      assert.strictEqual(yield* lifecycleOf(id), "shutdown_error")
      assert.strictEqual(yield* fs.readFileString(begun), "begun\n")
      assert.deepStrictEqual(yield* logsOf(id), ["over"])
      assert.sameDeepMembers(
        [...(yield* timingsOf(id))],
        [
          { stage: "start", status: "ok", exit_code: 0 },
          { stage: "start", status: "timed_out", exit_code: 255 },
          { stage: "stop", status: "exit_failure", exit_code: 1 }
        ]
      )
    })
  )

  it.effect("connects again with a back-off, and reports what waited meanwhile [AG-04]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const created = yield* People.agentDeclaring([key("ticks", "date +%s%N")])
      const { token } = created
      const sample = yield* watch(created)
      const proxy = yield* Proxy.make(url)
      const agent = yield* start(proxy.url, token)
      yield* agent.line(/^connected to /)
      yield* sample("ticks")

      yield* proxy.cut
      yield* agent.line(/^the connection to .+ broke$/)
      yield* agent.line(/^connected to /)
      const before = yield* sample("ticks")
      yield* sample("ticks", before)

      yield* agent.kill("SIGTERM")
      assert.strictEqual(yield* agent.exit, 0)
    })
  )

  it.effect("says what is wrong, and what to do, and ends if waiting does not help [AG-05]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()
      const other = createServer((_, response) => response.writeHead(404).end())
      const elsewhere = `http://127.0.0.1:${yield* portOf(other, () => other.closeAllConnections())}`
      const nobody = Redacted.make("of nobody")

      for (const [agent, code, message] of [
        [yield* start(url, nobody), 2, /refuses the token: set CODER_AGENT_TOKEN, or --token/],
        [yield* start(elsewhere, token), 3, /responds with the status 404/]
      ] as const) {
        assert.strictEqual(yield* agent.exit, code, agent.output())
        assert.match(agent.output(), message)
      }
      const waiting = yield* start("http://127.0.0.1:9", token)
      yield* waiting.line(/^there is no service at http:\/\/127\.0\.0\.1:9 \(.+\): trying again$/)
      yield* waiting.line(/trying again$/)
      yield* waiting.kill("SIGTERM")
      assert.strictEqual(yield* waiting.exit, 0)
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("keys of an agent's own", (it) => {
  it.effect("are refused unless the administrator allows them [AG-02]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()

      const agent = yield* start(url, token, "--key", "cpu=uptime")

      assert.strictEqual(yield* agent.exit, 2)
      assert.match(agent.output(), /does not let agents declare keys: its setting AGENT_MAY_DECLARE_KEYS does/)
    })
  )
})
