/** The contracts of reading and watching: addresses, parameters, statuses, and every field on the way out and back. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Agent } from "../../src/watch/AgentReader.ts"
import { LogsUnavailable } from "../../src/watch/LogWatch.ts"
import { MetadataUnavailable } from "../../src/watch/MetadataWatch.ts"
import { AgentUnavailable, ContextNotFound, ReadApi } from "../../src/watch/ReadApi.ts"
import { LogSse, WatchApi, WatchSse } from "../../src/watch/WatchApi.ts"

const id = (digit: number) => `00000000-0000-4000-8000-00000000000${digit}`
const time = "2026-01-02T03:04:05.000Z"

/** Whether a value of the outside is the same after it was read and written. */
const passes = <A, I>(schema: Schema.Codec<A, I>, value: unknown) => {
  const read = Schema.decodeUnknownSync(schema)(value)
  assert.deepStrictEqual(Schema.encodeSync(schema)(read) as unknown, value)
}

const fails = <A, I>(schema: Schema.Codec<A, I>, value: unknown) =>
  assert.throws(() => Schema.decodeUnknownSync(schema)(value))

const agent = {
  id: id(1),
  parent_id: null,
  name: "main",
  resource_id: id(2),
  api_version: "2.10",
  architecture: "amd64",
  operating_system: "linux",
  version: "v2.30.0",
  directory: "~",
  expanded_directory: "/home/me",
  created_at: time,
  updated_at: time,
  first_connected_at: time,
  last_connected_at: time,
  disconnected_at: time,
  started_at: time,
  ready_at: time,
  status: "connected",
  lifecycle_state: "ready",
  health: { healthy: false, reason: "agent has lost connection" },
  logs_length: 3,
  logs_overflowed: false,
  log_sources: [{ workspace_agent_id: id(1), id: id(3), created_at: time, display_name: "External", icon: "/icon" }],
  scripts: [],
  apps: [],
  display_apps: ["vscode"],
  environment_variables: { A: "b" },
  subsystems: ["envbox"],
  connection_timeout_seconds: 120,
  troubleshooting_url: "",
  startup_script_behavior: "blocking"
}

const status = {
  id: id(4),
  created_at: time,
  workspace_id: id(5),
  agent_id: id(1),
  app_id: id(6),
  state: "complete",
  message: "done",
  uri: "",
  icon: "",
  needs_user_attention: false
}

describe("an agent, as users read it", () => {
  it("keeps each of its fields, and has all of them but for times that are not there [HT-14]", () => {
    const times = new Set(["first_connected_at", "last_connected_at", "disconnected_at", "started_at", "ready_at"])

    passes(Agent, agent)
    for (const name of Object.keys(agent)) {
      const { [name as "id"]: _, ...rest } = agent
      if (times.has(name)) passes(Agent, rest)
      else fails(Agent, rest)
    }
    passes(Agent, { ...agent, parent_id: id(7), health: { healthy: true } })
  })

  it("has scripts, sources of logs and statuses of apps with all of their fields, and states that are known", () => {
    const [source] = agent.log_sources
    for (const name of Object.keys(source!)) {
      const { [name as "id"]: _, ...rest } = source!
      fails(Agent, { ...agent, log_sources: [rest] })
    }
    for (const health of [{}, { reason: "why" }]) fails(Agent, { ...agent, health })
    for (const status of ["connected", "disconnected", "connecting", "timeout"]) passes(Agent, { ...agent, status })
    fails(Agent, { ...agent, status: "away" })
    for (const behavior of ["blocking", "non-blocking"]) passes(Agent, { ...agent, startup_script_behavior: behavior })
    fails(Agent, { ...agent, startup_script_behavior: "" })
    const script = {
      id: id(8),
      log_source_id: id(3),
      log_path: "",
      display_name: "Startup",
      script: "true",
      cron: "",
      run_on_start: true,
      run_on_stop: false,
      start_blocks_login: false,
      timeout: 5e9
    }
    passes(Agent.fields.scripts, [script])
    for (const name of Object.keys(script)) {
      const { [name as "id"]: _, ...rest } = script
      fails(Agent.fields.scripts, [rest])
    }
    const { fields } = Agent.fields.apps.value
    passes(fields.statuses, [status])
    for (const name of Object.keys(status)) {
      const { [name as "id"]: _, ...rest } = status
      fails(fields.statuses, [rest])
    }
    passes(fields.healthcheck, { url: "http://localhost", interval: 5, threshold: 6 })
    for (const part of [
      { url: "", interval: 5 },
      { url: "", threshold: 6 },
      { interval: 5, threshold: 6 }
    ]) {
      fails(fields.healthcheck, part)
    }
    for (const name of ["subdomain_name", "group", "open_in", "tooltip"] as const) passes(fields[name], "text")
  })
})

describe("the events of watches", () => {
  const view = {
    result: { collected_at: time, age: 1, value: "2", error: "" },
    description: { display_name: "CPU", key: "cpu", script: "top", interval: 10, timeout: 5 }
  }
  const line = { id: 7, created_at: time, level: "warn", output: "hot", source_id: id(3) }
  const failure = { message: "metadata cannot be read", detail: "why" }
  const lifecycle = { state: "starting", started_at: time, ready_at: null }

  it("keep their data, as JSON in the data of server-sent events [WA-24]", () => {
    const error = { event: "error", data: JSON.stringify(failure) }
    const ping = { event: "ping", data: "" }

    for (const event of [{ event: "data", data: JSON.stringify([view]) }, error, ping]) passes(WatchSse, event)
    const logs = { event: "logs", data: JSON.stringify([line]) }
    for (const event of [
      logs,
      { id: "7", ...logs },
      { event: "lifecycle", data: JSON.stringify(lifecycle) },
      error,
      ping
    ]) {
      passes(LogSse, event)
    }
    for (const schema of [WatchSse, LogSse] as ReadonlyArray<Schema.Codec<unknown, unknown>>) {
      for (const event of [
        { event: "ping", data: "x" },
        { event: "error", data: "{}" },
        { event: "other", data: "" }
      ]) {
        fails(schema, event)
      }
    }
  })
})

describe("the addresses of reading and watching", () => {
  const outline = (api: Parameters<typeof OpenApi.fromApi>[0]) =>
    Object.entries(OpenApi.fromApi(api).paths).map(([path, { get }]) => [
      path.replace("/api/v2/workspaceagents/{agent}", ""),
      (get?.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name}`).join(),
      Object.keys(get?.responses ?? {}).join()
    ])

  it("have their parameters and statuses [HT-14]", () => {
    const failures = "400,401,404,429,500,503"
    assert.deepStrictEqual(outline(WatchApi as never), [
      ["/metadata", "path agent", `200,${failures}`],
      ["/watch-metadata", "path agent", `200,${failures}`],
      ["/watch-metadata-ws", "path agent", `204,${failures}`],
      [
        "/logs",
        "path agent,header last-event-id,query after,query before,query follow,query format,query no_compression",
        `200,${failures}`
      ]
    ])
    assert.deepStrictEqual(outline(ReadApi as never), [
      ["", "path agent", "200,400,401,404,429,503"],
      ["/context", "path agent", "200,400,401,404,429,503"]
    ])
  })

  it("have errors of their own, by tag, text and status", () => {
    for (const [name, error, value, code] of [
      ["MetadataUnavailable", MetadataUnavailable, { message: "a", detail: "b" }, "500"],
      ["LogsUnavailable", LogsUnavailable, { message: "a", detail: "b" }, "500"],
      ["AgentUnavailable", AgentUnavailable, { message: "a" }, "503"],
      ["ContextNotFound", ContextNotFound, { message: "a" }, "404"]
    ] as const) {
      const schema = error as unknown as Schema.Codec<unknown, unknown>
      passes(schema, { _tag: name, ...value })
      fails(schema, { _tag: name })
      const endpoint = HttpApiEndpoint.get("one", "/", { error: schema })
      const api = HttpApi.make("one").add(HttpApiGroup.make("one").add(endpoint))
      assert.include(outline(api as never)[0]![2], code, name)
    }
  })
})
