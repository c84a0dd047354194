/**
 * Every setting of the service: its environment variable, its default and its requirement.
 *
 * - A flag of the command line wins over the environment, and the environment over the default.
 * - An empty variable counts as absent.
 * - Reading the settings reports everything that is wrong with them at once, and never repeats a secret.
 * - The code's name of a setting is the name of its variable in camel case, without `METADATA_`.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import * as Config from "metadata-batcher/Config"
 *
 * const { flushInterval } = await Effect.runPromise(Config.read({ METADATA_FLUSH_INTERVAL: "2 seconds" }))
 * console.log(Duration.format(flushInterval))
 * // Output:
 * // 2s
 * ```
 */
import { type Config, ConfigProvider, Data, Duration, Effect, Result, Schema } from "effect"
import * as AgentVariables from "./agentapi/AgentVariables.ts"
import * as NearMisses from "./domain/NearMisses.ts"
import * as Value from "./domain/SettingValue.ts"
import { optional, required, type Variable } from "./domain/SettingVariable.ts"
import * as MetadataVariables from "./metadata/MetadataVariables.ts"
import * as PubSubVariables from "./pubsub/PubSubVariables.ts"
import * as Retention from "./operations/RetentionVariables.ts"

export type { Variable } from "./domain/SettingVariable.ts"

const lowerCaseWord = Schema.String.check(Schema.isPattern(/^[a-z\d-]+$/))

/** The most processes of one service. */
export const maxWorkers = 64

/** All variables by the names of their settings in code. */
export const variables = {
  host: required({
    name: "HOST",
    default: "127.0.0.1",
    value: Value.text("an address of this machine"),
    description: "The address to listen on."
  }),
  port: required({
    name: "PORT",
    default: "3000",
    value: Value.wholeNumber(0, 65_535, "a port from 1 to 65535, or 0 for a free one"),
    description: "The port to listen on."
  }),
  databaseUrl: optional({
    name: "DATABASE_URL",
    value: Value.postgresUrl,
    description: "The Postgres to use. Without it the service starts an embedded one."
  }),
  databaseListenUrl: optional({
    name: "DATABASE_LISTEN_URL",
    value: Value.postgresUrl,
    description: "The Postgres to LISTEN on, when DATABASE_URL leads through a transaction pooler."
  }),
  databasePrepare: required({
    name: "DATABASE_PREPARE",
    default: "true",
    value: Value.flag,
    description: "Use prepared statements; false for poolers that cannot keep them."
  }),
  databaseMaxConnections: required({
    name: "DATABASE_MAX_CONNECTIONS",
    default: "10",
    value: Value.wholeNumber(2, 1_000),
    description:
      "The size of the connection pool; from 7 on each kind of work has a share of its own. The listener has one more."
  }),
  workers: required({
    name: "WORKERS",
    default: "1",
    value: Value.wordOr("auto", Value.wholeNumber(1, maxWorkers)),
    description:
      "The processes that serve, which share the connections and the limits of the service; auto: one for each core."
  }),
  dataDir: required({
    name: "DATA_DIR",
    default: ".metadata-batcher/postgres",
    value: Value.text("a folder"),
    description: "The folder in which the embedded Postgres keeps its data."
  }),
  metricsAccess: required({
    name: "METRICS_ACCESS",
    default: "auto",
    value: Value.oneOf("auto", "open", "token"),
    description:
      "Whether /metrics takes the token of an administrator; auto: unless HOST is an address of this machine alone."
  }),
  adminToken: optional({
    name: "ADMIN_TOKEN",
    value: Value.secret(16),
    description: "The administrator's token. Without it the first start makes one, in the file admin-token of DATA_DIR."
  }),
  ...MetadataVariables.variables,
  ...PubSubVariables.variables,
  statsReportInterval: required({
    name: "STATS_REPORT_INTERVAL",
    default: "30 seconds",
    value: Value.duration,
    description: "How often agents shall report their statistics."
  }),
  experiments: optional({
    name: "EXPERIMENTS",
    value: Value.listOf(
      Schema.Literals(["workspace-usage"]),
      "a list of experiments with commas; there is workspace-usage"
    ),
    description:
      "Experiments to enable. With workspace-usage, people's programs report their sessions, and agents' counts are ignored."
  }),
  shutdownTimeout: required({
    name: "SHUTDOWN_TIMEOUT",
    default: "15 seconds",
    value: Value.duration,
    description: "The longest time that the last flush may take when the service stops."
  }),
  drainDelay: optional({
    name: "DRAIN_DELAY",
    value: Value.duration,
    description:
      "How long the service goes on after SIGTERM while /readyz is 503, so that balancers notice. Without it, not at all."
  }),
  drainTime: optional({
    name: "DRAIN_TIME",
    value: Value.duration,
    description:
      "The time over which the connections of agents and watchers are closed after that, so that they do not all come back at once."
  }),
  agentPingInterval: required({
    name: "AGENT_PING_INTERVAL",
    default: "15 seconds",
    value: Value.duration,
    description:
      "How often the service pings an agent and records its heartbeat. Agents that send keepalives by themselves are not pinged."
  }),
  agentPingTimeout: optional({
    name: "AGENT_PING_TIMEOUT",
    value: Value.duration,
    description:
      "How long an agent may leave pings without a pong: at least two intervals. Without it two, and at least 2 seconds."
  }),
  ...AgentVariables.variables,
  maxBodyBytes: required({
    name: "MAX_BODY_BYTES",
    default: "16777216",
    value: Value.wholeNumber(1_024, 1_073_741_824),
    description: "The largest body of an HTTP request; a larger one fails with 413."
  }),
  maxConnections: optional({
    name: "MAX_CONNECTIONS",
    value: Value.wholeNumber(10, 1_000_000),
    description:
      "Connections of all kinds; further ones are closed at once. Without it 20000, or as many as the limit of open files allows."
  }),
  maxConnectionsPerUser: required({
    name: "MAX_CONNECTIONS_PER_USER",
    default: "2000",
    value: Value.wholeNumber(1, 1_000_000),
    description: "Requests, streams and WebSockets that a user may have open at a time; further ones fail with 429."
  }),
  maxUnauthenticatedConnections: required({
    name: "MAX_UNAUTHENTICATED_CONNECTIONS",
    default: "1000",
    value: Value.wholeNumber(5, 1_000_000),
    description:
      "Connections that have not shown a valid token; at the limit, the one that has sent no request for longest is closed."
  }),
  requestTimeout: required({
    name: "REQUEST_TIMEOUT",
    default: "30 seconds",
    value: Value.duration,
    description: "The longest time that a request may take to arrive."
  }),
  idleTimeout: required({
    name: "IDLE_TIMEOUT",
    default: "75 seconds",
    value: Value.duration,
    description:
      "How long nothing may move over the connection of a watcher or an HTTP client before it is closed; longer than the idle timeout of a proxy in front."
  }),
  wildcardAccessUrl: optional({
    name: "WILDCARD_ACCESS_URL",
    value: Value.pattern(
      /^https?:\/\/[^*/\s]*\*[^*/\s]*\/?$/,
      "an address with one * in its host, such as https://*.apps.example.com"
    ),
    description: "The address under which editors find the ports of agents. Without it agents name none."
  }),
  externalAuthProviders: optional({
    name: "EXTERNAL_AUTH_PROVIDERS",
    value: Value.listOf(lowerCaseWord, "a list of types with commas, such as github,gitlab"),
    description: "The types of the providers of external sign-in. Agents learn how many of them serve git."
  }),
  disableDirectConnections: required({
    name: "DISABLE_DIRECT_CONNECTIONS",
    default: "false",
    value: Value.flag,
    description: "Let people reach agents through relays alone."
  }),
  derpForceWebsockets: required({
    name: "DERP_FORCE_WEBSOCKETS",
    default: "false",
    value: Value.flag,
    description: "Let relays be reached by WebSocket alone."
  }),
  derpMapFile: optional({
    name: "DERP_MAP_FILE",
    value: Value.text("a file"),
    description: "A file with the relays of the tailnet in JSON. Without a file and an address there are none."
  }),
  derpMapUrl: optional({
    name: "DERP_MAP_URL",
    value: Value.pattern(/^https?:\/\/[^/\s@]+(\/\S*)?$/, "an address that begins with http:// or https://"),
    description: "An address that responds with the relays of the tailnet in JSON."
  }),
  derpMapPollInterval: required({
    name: "DERP_MAP_POLL_INTERVAL",
    default: "5 seconds",
    value: Value.duration,
    description: "How often the relays of the tailnet are read again; a map that is not valid leaves the last one."
  }),
  ...Retention.variables,
  logFormat: required({
    name: "LOG_FORMAT",
    default: "auto",
    value: Value.oneOf("auto", "pretty", "json"),
    description: "The format of logs; auto is pretty on a terminal and json elsewhere."
  }),
  logLevel: required({
    name: "LOG_LEVEL",
    default: "info",
    value: Value.oneOf("debug", "info", "warn", "error"),
    description: "The least important log records that are written."
  }),
  otelExporterOtlpEndpoint: optional({
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    value: Value.pattern(/^https?:\/\/[^/\s]+\S*$/, "an address that begins with http:// or https://"),
    description: "The OTLP collector to which traces are sent over HTTP. Without it none are made."
  }),
  traceSampleRatio: required({
    name: "TRACE_SAMPLE_RATIO",
    default: "1",
    value: Value.number(0, 1),
    description: "The part of all traces that is kept and sent."
  }),
  demoAgents: required({
    name: "DEMO_AGENTS",
    default: "0",
    value: Value.wholeNumber(0, 10_000),
    description: "Simulated agents to run beside the service when its database is the embedded one."
  })
} as const

type Variables = typeof variables

/** The name of a setting in code. */
export type Setting = keyof Variables

/** All settings, decoded. */
export type Settings = { readonly [Name in Setting]: Config.Success<Variables[Name]["config"]> }

/** The settings cannot be used. Each problem names a variable and its requirement. */
export class InvalidSettings extends Data.TaggedError("InvalidSettings")<{
  /** A sentence for each setting that cannot be used. */
  readonly problems: ReadonlyArray<string>
}> {
  override get message() {
    return this.problems.join("\n")
  }
}

/**
 * Reads the settings from the `ConfigProvider`, by default the environment. `flags` has values that go before those of
 * the environment, by the names of their variables. Fails with all problems at once.
 */
export const read = Effect.fnUntraced(function* (
  flags: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Settings, InvalidSettings> {
  const provider = ConfigProvider.fromEnvRecord(flags).pipe(
    ConfigProvider.orElse(withoutNamespaces(yield* ConfigProvider.ConfigProvider)),
    ConfigProvider.orElse(defaults)
  )
  const problems: Array<string> = []
  const settings: { [Name in Setting]?: unknown } = {}
  for (const [setting, variable] of entries) {
    const result = yield* Effect.result(Effect.provideService(variable.config, ConfigProvider.ConfigProvider, provider))
    if (Result.isSuccess(result)) settings[setting] = result.success
    else problems.push(yield* describeProblem(variable, provider))
  }
  const found = settings as Partial<Settings>
  for (const { holds, problem } of rules) if (!holds(found)) problems.push(problem)
  return problems.length === 0 ? (found as Settings) : yield* new InvalidSettings({ problems })
})

/** Lets a variable such as HOST_NAME be no setting: to a provider it lies within HOST, which then is there without a value. */
const withoutNamespaces = (provider: ConfigProvider.ConfigProvider) =>
  ConfigProvider.make((path) =>
    Effect.map(provider.load(path), (node) => (node?._tag === "Record" && node.value === undefined ? undefined : node))
  )

/** The longest value that a message repeats: longer ones may be secrets that stand in the wrong place. */
const maxRepeatedLength = 15

const describeProblem = Effect.fnUntraced(function* (
  { isSecret, name, requirement }: Variable<unknown>,
  provider: ConfigProvider.ConfigProvider
) {
  const node = yield* Effect.orElseSucceed(provider.load([name]), () => undefined)
  const written = node?.value
  const isRepeated = !isSecret && written !== undefined && written.length <= maxRepeatedLength
  return `${name} must be ${requirement}${isRepeated ? ` (got ${JSON.stringify(written)})` : ""}`
})

const entries = Object.entries(variables) as ReadonlyArray<[Setting, Variable<unknown>]>

const isAbsent = (value: unknown) => value === undefined

interface Rule {
  readonly holds: (found: Partial<Settings>) => boolean
  readonly problem: string
}

/** The requirements between the settings of another server. */
const serverRules = (role: "pubsub" | "store"): ReadonlyArray<Rule> => {
  const [url, credentials] = [`${role}Url`, `${role}CredentialsFile`] as const
  const [ca, cert, key] = [`${role}TlsCa`, `${role}TlsCert`, `${role}TlsKey`] as const
  return [
    {
      holds: (found) =>
        !(url in found) ||
        found[url] !== undefined ||
        [credentials, ca, cert, key].every((setting) => isAbsent(found[setting])),
      problem: `${variables[credentials].name} and ${variables[ca].name.replace(/CA$/, "*")} need ${variables[url].name}: set that too, or leave them out`
    },
    {
      holds: (found) => isAbsent(found[cert]) === isAbsent(found[key]),
      problem: `${variables[cert].name} and ${variables[key].name} need each other: set both, or none`
    }
  ]
}

/** Requirements between settings. A setting that is wrong by itself is reported once, not here again. */
const rules: ReadonlyArray<Rule> = [
  {
    holds: ({ maxBatchSize = 0, maxPending = Infinity }) => maxPending >= maxBatchSize,
    problem: `${variables.maxPending.name} must be at least ${variables.maxBatchSize.name}`
  },
  {
    holds: ({ maxBacklogBatchSize = Infinity, maxBatchSize = 0 }) => maxBacklogBatchSize >= maxBatchSize,
    problem: `${variables.maxBacklogBatchSize.name} must be at least ${variables.maxBatchSize.name}`
  },
  {
    holds: ({ maxBacklogBatchSize = 0, maxPending = Infinity }) => maxPending >= maxBacklogBatchSize,
    problem: `${variables.maxPending.name} must be at least ${variables.maxBacklogBatchSize.name}`
  },
  {
    holds: (found) =>
      found.databaseListenUrl === undefined || !("databaseUrl" in found) || found.databaseUrl !== undefined,
    problem: `${variables.databaseListenUrl.name} needs ${variables.databaseUrl.name}: set that too, or leave this out`
  },
  ...serverRules("pubsub"),
  ...serverRules("store"),
  {
    holds: ({ derpMapFile, derpMapUrl }) => derpMapFile === undefined || derpMapUrl === undefined,
    problem: `${variables.derpMapFile.name} and ${variables.derpMapUrl.name} exclude each other: set one of them`
  },
  {
    holds: ({ agentPingInterval = Duration.zero, agentPingTimeout = Duration.infinity }) =>
      Duration.isGreaterThanOrEqualTo(agentPingTimeout, Duration.times(agentPingInterval, 2)),
    problem: `${variables.agentPingTimeout.name} must be at least two times ${variables.agentPingInterval.name}`
  },
  {
    holds: ({ pubsubWatchdogInterval = Duration.zero, pubsubWatchdogTimeout = Duration.infinity }) =>
      Duration.isGreaterThanOrEqualTo(pubsubWatchdogTimeout, Duration.times(pubsubWatchdogInterval, 2)),
    problem: `${variables.pubsubWatchdogTimeout.name} must be at least two times ${variables.pubsubWatchdogInterval.name}`
  }
]

const defaults = ConfigProvider.fromEnvRecord(
  Object.fromEntries(entries.map(([, variable]) => [variable.name, variable.default]))
)

/** A sentence for each variable of the environment whose name is almost that of a setting. */
export const nearMisses = Effect.map(NearMisses.inEnvironment(entries.map(([, { name }]) => name)), (found) =>
  found.map(({ meant, written }) => `${written} is not a setting: did you mean ${meant}?`)
)
