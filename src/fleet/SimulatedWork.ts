/**
 * Generates random data for simulated agents, in the types of the agent API. Nothing in this module makes a call.
 */
import { Array as Arr, DateTime, Duration, Effect, Random, Schema } from "effect"
import * as AgentStats from "../usage/AgentStats.ts"
import type { BatchUpdateAppHealthsRequest, UpdateAppStatusRequest } from "../agentapi/calls/Apps.ts"
import type { ReportConnectionRequest } from "../agentapi/calls/UserSessions.ts"
import type { UpdateStartupRequest } from "../agentapi/calls/Lifecycle.ts"
import type { BatchCreateLogsRequest } from "../agentapi/calls/Logs.ts"
import type { Manifest } from "../agentapi/calls/Manifest.ts"
import type { PushResourcesMonitoringUsageRequest } from "../agentapi/calls/ResourceMonitors.ts"
import { UserSessionId } from "../domain/Ids.ts"
import { randomUuid } from "../domain/RandomUuid.ts"
import { apps, type MetadataDeclaration, MonitorsDeclaration, scripts } from "../admin/AgentDeclaration.ts"

// -----------------------------------------------------------------------------
// declarations
// -----------------------------------------------------------------------------

/** Returns the names of `count` keys. */
export const keys = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => signals[index] ?? `signal_${index}`)

/** Returns the declarations of an agent's keys. */
export const declarations = (
  keys: ReadonlyArray<string>,
  interval: Duration.Duration
): ReadonlyArray<MetadataDeclaration> =>
  keys.map((key, index) => ({
    key,
    display_name: key,
    script: `simulate ${key}`,
    interval: Duration.toSeconds(interval),
    timeout: Duration.toSeconds(interval),
    display_order: index
  }))

/** The apps, the script and the monitors of an agent. */
export const equipment = Schema.decodeSync(Schema.Struct({ apps, scripts, monitors: MonitorsDeclaration }))({
  apps: [
    {
      slug: "code",
      display_name: "code-server",
      url: "http://localhost:13337",
      healthcheck: { url: "http://localhost:13337/healthz", interval: 10, threshold: 3 }
    },
    { slug: "preview", display_name: "Preview", display_order: 1, url: "http://localhost:8080", subdomain: true }
  ],
  scripts: [{ display_name: "Startup", script: "simulate startup", run_on_start: true, timeout: 60 }],
  monitors: { memory: { threshold: 90 }, volumes: [{ path: "/home/dev", threshold: 90 }] }
})

// -----------------------------------------------------------------------------
// metadata
// -----------------------------------------------------------------------------

const signals = ["cpu", "memory", "disk", "load", "network", "processes", "branch", "build"]
const branches = ["main", "release/2.31", "fix/flaky-listener", "feature/watch"]
const builds = ["queued", "running", "passed", "passed", "failed"]

/** Returns a sample of a key; 1 in 200 has an error. */
export const sample = Effect.fnUntraced(function* (key: string) {
  const number = yield* Random.next
  if (number > 0.995) return { key, result: { value: "", error: `${key}: the script ended with status 1` } }
  const value =
    key === "branch"
      ? yield* Random.choice(branches)
      : key === "build"
        ? yield* Random.choice(builds)
        : key === "processes"
          ? String(Math.round(40 + number * 200))
          : `${(number * 100).toFixed(1)} %`
  return { key, result: { value, error: "" } }
})

// -----------------------------------------------------------------------------
// startup
// -----------------------------------------------------------------------------

export const startup = ({ directory }: typeof Manifest.Type): UpdateStartupRequest["startup"] => ({
  version: "v2.31.0",
  expanded_directory: directory === "" ? "/home/dev/project" : directory,
  subsystems: ["envbuilder"]
})

type Line = BatchCreateLogsRequest["logs"][number]

const info = (output: string): Line => ({ level: "info", output })

/** The output of an agent's startup, in the pieces in which it is logged. */
export const startupPrints: ReadonlyArray<ReadonlyArray<Line>> = [
  [
    info("Cloning the repository…"),
    { level: "debug", output: "git clone --depth 1 https://git.example.com/dev/project" }
  ],
  [info("Installing 412 packages"), { level: "warn", output: "3 packages are deprecated" }, info("Done in 2.1 s")]
]

// -----------------------------------------------------------------------------
// life
// -----------------------------------------------------------------------------

const lines: Arr.NonEmptyReadonlyArray<Line> = [
  info("GET /api/projects 200 12 ms"),
  info("GET /api/projects/7/builds 200 48 ms"),
  info("file changed: src/main.ts, building"),
  info("built in 1.4 s"),
  { level: "debug", output: "cache hit: 96 % of 1 204 modules" },
  { level: "warn", output: "GET /api/search took 2 104 ms" },
  { level: "error", output: "POST /api/builds 503: no runner is free" }
]

/** Returns one log line of a workspace. */
export const line = Random.choice(lines)

/** A user who is connected to an agent. */
export type Visitor = Pick<ReportConnectionRequest["connection"], "id" | "type" | "ip">

export const visitor = Effect.gen(function* () {
  const visitor: Visitor = {
    id: UserSessionId.make(yield* randomUuid),
    type: yield* Random.choice(["ssh", "vscode", "jetbrains", "reconnecting_pty"] as const),
    ip: `192.0.2.${yield* Random.nextIntBetween(1, 254)}`
  }
  return visitor
})

/** Reports that a visitor connects or disconnects. */
export const connection = (visitor: Visitor, action: "connect" | "disconnect"): ReportConnectionRequest => ({
  connection: {
    ...visitor,
    action,
    status_code: 0,
    reason: action === "connect" ? "" : "the client has closed the connection",
    app_name: ""
  }
})

/** Returns the statistics of an agent since its last report, including its visitor. */
export const stats = Effect.fnUntraced(function* (visitor: Visitor | undefined) {
  const metrics = [
    {
      name: "agent_scripts_executed_total",
      type: "COUNTER" as const,
      value: 1,
      labels: [{ name: "success", value: "true" }]
    }
  ]
  if (visitor === undefined) return { ...AgentStats.zeroCounters, metrics }
  const packets = yield* Random.nextIntBetween(10, 500)
  return {
    ...AgentStats.zeroCounters,
    metrics,
    connections_by_proto: { TCP: 1 },
    connection_count: 1,
    connection_median_latency_ms: yield* Random.nextBetween(5, 80),
    rx_packets: packets,
    rx_bytes: packets * 600,
    tx_packets: packets * 2,
    tx_bytes: packets * 1_800,
    [`session_count_${visitor.type}`]: 1
  }
})

/** Returns the health of an app: healthy in 4 of 5 cases. */
export const health = Effect.map(Random.next, (number): BatchUpdateAppHealthsRequest["updates"][number]["health"] =>
  number < 0.8 ? "healthy" : "unhealthy"
)

const works: Arr.NonEmptyReadonlyArray<Pick<UpdateAppStatusRequest, "state" | "message">> = [
  { state: "working", message: "Reading the failing test" },
  { state: "working", message: "Writing a fix" },
  { state: "idle", message: "Waiting for an answer" },
  { state: "complete", message: "The tests pass" },
  { state: "failure", message: "The build does not compile" }
]

/** Returns the status of an app. */
export const status = (slug: string) => Effect.map(Random.choice(works), (work) => ({ slug, ...work, uri: "" }))

const gibibyte = 2 ** 30

/** Returns the usage of memory and volumes over the last intervals. */
export const usage = Effect.fnUntraced(function* (options: {
  readonly count: number
  readonly interval: Duration.Duration
  readonly memory: boolean
  readonly volumes: ReadonlyArray<string>
}): Effect.fn.Return<PushResourcesMonitoringUsageRequest> {
  const now = yield* DateTime.now
  const used = Effect.map(Random.nextBetween(0.2, 0.95), (part) => ({
    used: Math.round(part * 16 * gibibyte),
    total: 16 * gibibyte
  }))
  const datapoints = yield* Effect.forEach(Arr.range(1 - options.count, 0), (place) =>
    Effect.all({
      collected_at: Effect.succeed(DateTime.addDuration(now, Duration.times(options.interval, place))),
      volumes: Effect.forEach(options.volumes, (volume) => Effect.map(used, (usage) => ({ volume, ...usage }))),
      ...(options.memory ? { memory: used } : {})
    })
  )
  return { datapoints }
})
