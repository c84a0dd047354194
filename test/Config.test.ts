import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import * as Util from "node:util"
import * as Config from "../src/Config.ts"

type Environment = Readonly<Record<string, string>>

const read = (environment: Environment, flags: Environment = {}) =>
  Effect.provideService(Config.read(flags), ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))

const problemsOf = (environment: Environment) => Effect.map(Effect.flip(read(environment)), ({ problems }) => problems)

/** Settings as one writes them down. */
const plain = (settings: Config.Settings) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      Duration.isDuration(value) ? Duration.format(value) : Redacted.isRedacted(value) ? Redacted.value(value) : value
    ])
  )

const defaults = {
  host: "127.0.0.1",
  port: 3_000,
  databaseUrl: undefined,
  databaseListenUrl: undefined,
  databasePrepare: true,
  databaseMaxConnections: 10,
  dataDir: ".metadata-batcher/postgres",
  metricsAccess: "auto",
  adminToken: undefined,
  maxBatchSize: 500,
  maxBatchBytes: 4_194_304,
  flushInterval: "5s",
  queueCapacity: undefined,
  maxPending: 100_000,
  maxPendingBytes: 67_108_864,
  maxPendingPerAgent: 10_000,
  writeTimeout: "10s",
  pubsubWatchdogInterval: "15s",
  pubsubWatchdogTimeout: "5m",
  statsReportInterval: "30s",
  experiments: undefined,
  shutdownTimeout: "15s",
  agentPingInterval: "15s",
  agentPingTimeout: undefined,
  agentMaxCallRate: 100,
  agentApiMaxMinor: 99,
  agentMaxRunningCalls: 16,
  agentMaxConnections: 16,
  maxConnectionsPerUser: 2_000,
  agentMaxMessageBytes: 4_194_304,
  agentContext: true,
  maxBodyBytes: 16_777_216,
  maxConnections: 20_000,
  maxUnauthenticatedConnections: 1_000,
  requestTimeout: "30s",
  idleTimeout: "1m 15s",
  wildcardAccessUrl: undefined,
  externalAuthProviders: undefined,
  disableDirectConnections: false,
  derpForceWebsockets: false,
  derpMapFile: undefined,
  derpMapUrl: undefined,
  derpMapPollInterval: "5s",
  retentionLogs: "7d",
  retentionStats: "1d",
  retentionConnections: "90d",
  retentionAppStatuses: "30d",
  retentionScriptTimings: "30d",
  retentionNotifications: "7d",
  retentionTokens: "7d",
  retentionDeleted: "7d",
  logFormat: "auto",
  logLevel: "info",
  otelExporterOtlpEndpoint: undefined,
  traceSampleRatio: 1,
  demoAgents: 0
}

/** For each variable another value than its default, and what that is as a setting. */
const others: Readonly<Record<string, readonly [value: string, setting: keyof typeof defaults, decoded: unknown]>> = {
  HOST: ["0.0.0.0", "host", "0.0.0.0"],
  PORT: ["0", "port", 0],
  DATABASE_URL: ["postgres://u:p@h/d", "databaseUrl", "postgres://u:p@h/d"],
  DATABASE_LISTEN_URL: ["postgresql://h/d", "databaseListenUrl", "postgresql://h/d"],
  DATABASE_PREPARE: ["false", "databasePrepare", false],
  DATABASE_MAX_CONNECTIONS: ["2", "databaseMaxConnections", 2],
  DATA_DIR: ["/data", "dataDir", "/data"],
  METRICS_ACCESS: ["token", "metricsAccess", "token"],
  ADMIN_TOKEN: ["0123456789abcdef", "adminToken", "0123456789abcdef"],
  METADATA_MAX_BATCH_SIZE: ["1", "maxBatchSize", 1],
  METADATA_MAX_BATCH_BYTES: ["1024", "maxBatchBytes", 1_024],
  METADATA_FLUSH_INTERVAL: ["250 millis", "flushInterval", "250ms"],
  METADATA_QUEUE_CAPACITY: ["7", "queueCapacity", 7],
  METADATA_MAX_PENDING: ["600", "maxPending", 600],
  METADATA_MAX_PENDING_BYTES: ["1048576", "maxPendingBytes", 1_048_576],
  METADATA_MAX_PENDING_PER_AGENT: ["700", "maxPendingPerAgent", 700],
  METADATA_WRITE_TIMEOUT: ["1 minute", "writeTimeout", "1m"],
  PUBSUB_WATCHDOG_INTERVAL: ["5 seconds", "pubsubWatchdogInterval", "5s"],
  PUBSUB_WATCHDOG_TIMEOUT: ["1 minute", "pubsubWatchdogTimeout", "1m"],
  STATS_REPORT_INTERVAL: ["5 minutes", "statsReportInterval", "5m"],
  EXPERIMENTS: ["workspace-usage", "experiments", ["workspace-usage"]],
  SHUTDOWN_TIMEOUT: ["2 seconds", "shutdownTimeout", "2s"],
  AGENT_PING_INTERVAL: ["5 seconds", "agentPingInterval", "5s"],
  AGENT_PING_TIMEOUT: ["1 minute", "agentPingTimeout", "1m"],
  AGENT_MAX_CALL_RATE: ["7", "agentMaxCallRate", 7],
  AGENT_API_MAX_MINOR: ["8", "agentApiMaxMinor", 8],
  AGENT_MAX_RUNNING_CALLS: ["8", "agentMaxRunningCalls", 8],
  AGENT_MAX_CONNECTIONS: ["9", "agentMaxConnections", 9],
  AGENT_MAX_MESSAGE_BYTES: ["1024", "agentMaxMessageBytes", 1_024],
  AGENT_CONTEXT: ["false", "agentContext", false],
  MAX_BODY_BYTES: ["1048576", "maxBodyBytes", 1_048_576],
  MAX_CONNECTIONS: ["100", "maxConnections", 100],
  MAX_CONNECTIONS_PER_USER: ["10", "maxConnectionsPerUser", 10],
  MAX_UNAUTHENTICATED_CONNECTIONS: ["10", "maxUnauthenticatedConnections", 10],
  REQUEST_TIMEOUT: ["5 seconds", "requestTimeout", "5s"],
  IDLE_TIMEOUT: ["5 minutes", "idleTimeout", "5m"],
  WILDCARD_ACCESS_URL: ["https://*.apps.example.com", "wildcardAccessUrl", "https://*.apps.example.com"],
  EXTERNAL_AUTH_PROVIDERS: ["github, gitlab,jira", "externalAuthProviders", ["github", "gitlab", "jira"]],
  DISABLE_DIRECT_CONNECTIONS: ["true", "disableDirectConnections", true],
  DERP_FORCE_WEBSOCKETS: ["true", "derpForceWebsockets", true],
  DERP_MAP_FILE: ["/etc/derp.json", "derpMapFile", "/etc/derp.json"],
  DERP_MAP_URL: ["https://example.com/derp.json", "derpMapUrl", "https://example.com/derp.json"],
  DERP_MAP_POLL_INTERVAL: ["1 minute", "derpMapPollInterval", "1m"],
  RETENTION_LOGS: ["12h", "retentionLogs", "12h"],
  RETENTION_STATS: ["0", "retentionStats", "Infinity"],
  RETENTION_CONNECTIONS: ["2 days", "retentionConnections", "2d"],
  RETENTION_APP_STATUSES: ["1w", "retentionAppStatuses", "7d"],
  RETENTION_SCRIPT_TIMINGS: ["1 hour", "retentionScriptTimings", "1h"],
  RETENTION_NOTIFICATIONS: ["3 days", "retentionNotifications", "3d"],
  RETENTION_TOKENS: ["5 days", "retentionTokens", "5d"],
  RETENTION_DELETED: ["1 hour", "retentionDeleted", "1h"],
  LOG_FORMAT: ["json", "logFormat", "json"],
  LOG_LEVEL: ["debug", "logLevel", "debug"],
  OTEL_EXPORTER_OTLP_ENDPOINT: ["http://collector:4318", "otelExporterOtlpEndpoint", "http://collector:4318"],
  TRACE_SAMPLE_RATIO: ["0.25", "traceSampleRatio", 0.25],
  DEMO_AGENTS: ["20", "demoAgents", 20]
}

const between = (minimum: number, maximum: number) => `a whole number from ${minimum} to ${maximum}`
const duration = "a positive duration such as 5s, 500ms or 1m30s"
const durations = [
  "5",
  "soon",
  "0 seconds",
  "0s",
  "-1 seconds",
  "infinity",
  "5sec.",
  "1m30",
  "5 s 3",
  `${"9".repeat(400)}s`
]
const retentions = ["7", "0 days", "-1 days", "forever", "00"]
const address = "an address that begins with postgresql://"

/** For each variable values that cannot be, and what it must be instead. */
const wrong: Readonly<Record<string, readonly [values: ReadonlyArray<string>, must: string]>> = {
  PORT: [["-1", "65536", "80.5", "http", " 80"], "a port from 1 to 65535, or 0 for a free one"],
  DATABASE_URL: [["localhost", "mysql://h/d", "http://postgresql://"], address],
  DATABASE_LISTEN_URL: [["localhost", "mysql://h/d"], address],
  DATABASE_PREPARE: [["yes", "0", "TRUE"], "true or false"],
  DATABASE_MAX_CONNECTIONS: [["1", "1001", "many"], between(2, 1_000)],
  METRICS_ACCESS: [["closed", "true"], "auto, open or token"],
  ADMIN_TOKEN: [["0123456789abcde"], "at least 16 characters long"],
  METADATA_MAX_BATCH_SIZE: [["0", "10001", "1.5"], between(1, 10_000)],
  METADATA_MAX_BATCH_BYTES: [["1023", "1073741825", "4 MiB"], between(1_024, 1_073_741_824)],
  METADATA_FLUSH_INTERVAL: [durations, duration],
  METADATA_QUEUE_CAPACITY: [["0", "1000001"], between(1, 1_000_000)],
  METADATA_MAX_PENDING: [["0", "10000001"], between(1, 10_000_000)],
  METADATA_MAX_PENDING_PER_AGENT: [["0", "10000001"], between(1, 10_000_000)],
  METADATA_MAX_PENDING_BYTES: [["1048575", "17179869185", "64 MiB"], between(1_048_576, 17_179_869_184)],
  METADATA_WRITE_TIMEOUT: [durations, duration],
  PUBSUB_WATCHDOG_INTERVAL: [durations, duration],
  PUBSUB_WATCHDOG_TIMEOUT: [durations, duration],
  STATS_REPORT_INTERVAL: [durations, duration],
  EXPERIMENTS: [
    ["flying-cars", "workspace-usage,", "workspace-usage flying-cars"],
    "a list of experiments with commas; there is workspace-usage"
  ],
  SHUTDOWN_TIMEOUT: [durations, duration],
  AGENT_PING_INTERVAL: [durations, duration],
  AGENT_PING_TIMEOUT: [durations, duration],
  AGENT_MAX_CALL_RATE: [["0", "1000001", "fast"], between(1, 1_000_000)],
  AGENT_API_MAX_MINOR: [["-1", "10000", "new"], between(0, 9_999)],
  AGENT_MAX_RUNNING_CALLS: [["0", "10001", "some"], between(1, 10_000)],
  AGENT_MAX_CONNECTIONS: [["0", "10001", "some"], between(1, 10_000)],
  MAX_CONNECTIONS_PER_USER: [["0", "1000001", "some"], between(1, 1_000_000)],
  AGENT_MAX_MESSAGE_BYTES: [["1023", "1073741825"], between(1_024, 1_073_741_824)],
  AGENT_CONTEXT: [["yes"], "true or false"],
  MAX_BODY_BYTES: [["1023", "1073741825"], between(1_024, 1_073_741_824)],
  MAX_CONNECTIONS: [["9", "1000001"], between(10, 1_000_000)],
  MAX_UNAUTHENTICATED_CONNECTIONS: [["4", "1000001"], between(5, 1_000_000)],
  REQUEST_TIMEOUT: [durations, duration],
  IDLE_TIMEOUT: [durations, duration],
  WILDCARD_ACCESS_URL: [
    ["*.example.com", "https://apps.example.com", "https://*.*.example.com", "https://example.com/*", "ftp://*.a.b"],
    "an address with one * in its host, such as https://*.apps.example.com"
  ],
  EXTERNAL_AUTH_PROVIDERS: [
    ["git hub", "github,", ",", "GitHub"],
    "a list of types with commas, such as github,gitlab"
  ],
  DISABLE_DIRECT_CONNECTIONS: [["yes"], "true or false"],
  DERP_FORCE_WEBSOCKETS: [["1"], "true or false"],
  DERP_MAP_POLL_INTERVAL: [durations, duration],
  DERP_MAP_URL: [["derp.json", "https://user:secret@example.com"], "an address that begins with http:// or https://"],
  RETENTION_LOGS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_STATS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_CONNECTIONS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_APP_STATUSES: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_SCRIPT_TIMINGS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_NOTIFICATIONS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_TOKENS: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  RETENTION_DELETED: [retentions, "a positive duration such as 7 days or 12h, or 0"],
  LOG_FORMAT: [["xml", "JSON"], "auto, pretty or json"],
  LOG_LEVEL: [["trace", "INFO"], "debug, info, warn or error"],
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    ["collector:4318", "grpc://collector", "http://"],
    "an address that begins with http:// or https://"
  ],
  TRACE_SAMPLE_RATIO: [["-0.1", "1.1", "all", "Infinity"], "a number from 0 to 1"],
  DEMO_AGENTS: [["-1", "10001", "all"], between(0, 10_000)]
}

/** Variables that others need beside them. */
const beside: Readonly<Record<string, Environment>> = { DATABASE_LISTEN_URL: { DATABASE_URL: "postgresql://h/d" } }

describe("Config", () => {
  it("names each setting as its variable, in camel case and without METADATA_", () => {
    for (const [setting, { name }] of Object.entries(Config.variables)) {
      const [first, ...rest] = name
        .replace(/^METADATA_/, "")
        .toLowerCase()
        .split("_")
      assert.strictEqual(setting, [first, ...rest.map((word) => word[0]!.toUpperCase() + word.slice(1))].join(""))
    }
  })

  it.effect("reads durations as people write them", () =>
    Effect.gen(function* () {
      const written = {
        "5s": 5_000,
        "500ms": 500,
        "1m30s": 90_000,
        "5 seconds": 5_000,
        "1 minute": 60_000,
        "1.5 h": 5_400_000,
        "1 day 2 hours": 93_600_000,
        " 2 Weeks ": 1_209_600_000,
        "1.5millis": 1.5
      }
      for (const [text, millis] of Object.entries(written)) {
        const { flushInterval } = yield* read({ METADATA_FLUSH_INTERVAL: text })
        assert.strictEqual(Duration.toMillis(flushInterval), millis, text)
      }
    })
  )

  it.effect("repeats a wrong value if it is short and no secret", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({
        METADATA_FLUSH_INTERVAL: "5",
        LOG_FORMAT: "0123456789abcdef",
        ADMIN_TOKEN: "short",
        DATABASE_URL: "db"
      })

      assert.deepStrictEqual(problems, [
        "DATABASE_URL must be an address that begins with postgresql://",
        "ADMIN_TOKEN must be at least 16 characters long",
        'METADATA_FLUSH_INTERVAL must be a positive duration such as 5s, 500ms or 1m30s (got "5")',
        "LOG_FORMAT must be auto, pretty or json"
      ])
    })
  )

  it("names each variable once, and all of them are tested here", () => {
    const names = Object.values(Config.variables).map(({ name }) => name)

    assert.deepStrictEqual(names, Object.keys(others))
    // any text is a host, a folder or a file
    assert.sameMembers([...Object.keys(wrong), "HOST", "DATA_DIR", "DERP_MAP_FILE"], names)
  })

  it.effect("has a default for every variable", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(plain(yield* read({})), defaults)
    })
  )

  it.effect("takes every variable from the environment", () =>
    Effect.gen(function* () {
      for (const [name, [value, setting, decoded]] of Object.entries(others)) {
        const settings = plain(yield* read({ [name]: value, ...beside[name] }))
        assert.deepStrictEqual(settings[setting], decoded, name)
      }
    })
  )

  it.effect("takes an empty variable as absent", () =>
    Effect.gen(function* () {
      const empty = Object.fromEntries(Object.keys(others).map((name) => [name, ""]))

      assert.deepStrictEqual(plain(yield* read(empty)), defaults)
    })
  )

  it.effect("says of a value that cannot be which variable it is and what it must be", () =>
    Effect.gen(function* () {
      for (const [name, [values, must]] of Object.entries(wrong)) {
        for (const value of values) {
          const [problem, ...further] = yield* problemsOf({ [name]: value, ...beside[name] })
          assert.strictEqual(problem!.replace(/ \(got .*\)$/, ""), `${name} must be ${must}`, value)
          assert.deepStrictEqual(further, [])
        }
      }
    })
  )

  it.effect("says of the default of each variable that it is fine", () =>
    Effect.gen(function* () {
      for (const { default: written, name } of Object.values(Config.variables)) {
        if (written !== undefined) yield* read({ [name]: written })
      }
    })
  )

  it.effect("finds everything that is wrong at once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        read({
          PORT: "http",
          LOG_LEVEL: "loud",
          DATABASE_LISTEN_URL: "postgresql://h/d",
          METADATA_MAX_PENDING: "499",
          AGENT_PING_TIMEOUT: "29 seconds",
          PUBSUB_WATCHDOG_TIMEOUT: "29 seconds"
        })
      )

      assert.deepStrictEqual(error.message.split("\n"), [
        'PORT must be a port from 1 to 65535, or 0 for a free one (got "http")',
        'LOG_LEVEL must be debug, info, warn or error (got "loud")',
        "METADATA_MAX_PENDING must be at least METADATA_MAX_BATCH_SIZE",
        "DATABASE_LISTEN_URL needs DATABASE_URL: set that too, or leave this out",
        "AGENT_PING_TIMEOUT must be at least two times AGENT_PING_INTERVAL",
        "PUBSUB_WATCHDOG_TIMEOUT must be at least two times PUBSUB_WATCHDOG_INTERVAL"
      ])
    })
  )

  it.effect("says nothing of how settings fit that are wrong by themselves", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* problemsOf({ METADATA_MAX_BATCH_SIZE: "9999999", METADATA_MAX_PENDING: "1" }), 1)
      assert.lengthOf(yield* problemsOf({ DATABASE_URL: "mysql://h/d", DATABASE_LISTEN_URL: "postgresql://h/d" }), 1)
    })
  )

  it.effect("sets flags above the environment, and the environment above the default", () =>
    Effect.gen(function* () {
      const environment = { PORT: "1000", HOST: "::1" }

      const { dataDir, host, port } = yield* read(environment, { PORT: "2000" })

      assert.deepStrictEqual([port, host, dataDir], [2_000, "::1", defaults.dataDir])
      assert.strictEqual((yield* read({ PORT: "http" }, { PORT: "2000" })).port, 2_000)
      const error = yield* Effect.flip(read(environment, { PORT: "http" }))
      assert.include(error.message, "PORT must be")
    })
  )

  it.effect("tells no value, neither in what it finds wrong nor when settings are shown", () =>
    Effect.gen(function* () {
      const secret = "hunter2hunter2hunter2"
      const error = yield* Effect.flip(
        read({
          ADMIN_TOKEN: "hunter2",
          DATABASE_URL: `mysql://u:${secret}@h/d`,
          DATABASE_LISTEN_URL: secret,
          PORT: secret
        })
      )
      const settings = yield* read({ ADMIN_TOKEN: secret, DATABASE_URL: `postgresql://u:${secret}@h/d` })

      assert.lengthOf(error.problems, 4)
      for (const shown of [error, settings]) {
        assert.notInclude(`${Util.inspect(shown, { depth: 9 })}${JSON.stringify(shown)}${String(shown)}`, "hunter2")
      }
    })
  )
})
