/**
 * Every setting of the service: the variable of the environment that holds it, its default and what it must be.
 *
 * A flag of the command line stands above the environment, the environment above the default. An empty variable counts
 * as absent. Reading the settings finds everything that is wrong with them at once, and says so without a value.
 */
import { Config, ConfigProvider, Data, Duration, Effect, Option, Result, Schema, SchemaTransformation } from "effect"

export interface Variable<A> {
  readonly name: string
  /** What it is for. */
  readonly description: string
  /** What a value has to be. */
  readonly must: string
  /** The default, as it would be written. */
  readonly fallback: string | undefined
  readonly config: Config.Config<A>
}

type Codec<A> = Schema.ConstraintCodec<A, unknown>

const required = <A>(
  name: string,
  fallback: string,
  codec: Codec<A>,
  must: string,
  description: string
): Variable<A> => ({ name, description, must, fallback, config: Config.schema(codec, name) })

const optional = <A>(name: string, codec: Codec<A>, must: string, description: string): Variable<A | undefined> => ({
  name,
  description,
  must,
  fallback: undefined,
  config: Config.map(Config.option(Config.schema(codec, name)), Option.getOrUndefined)
})

const text = Schema.NonEmptyString
const secret = (minimum: number) => Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(minimum)))
const count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
/** A duration above zero that comes to an end, as text. */
export const PositiveDuration = Schema.DurationFromString.check(
  Schema.makeFilter((value: Duration.Duration) => Duration.isFinite(value) && Duration.isPositive(value))
)
const flag = Schema.Literals(["true", "false"]).pipe(
  Schema.decodeTo(
    Schema.Boolean,
    SchemaTransformation.transform({
      decode: (text) => text === "true",
      encode: (value) => (value ? ("true" as const) : ("false" as const))
    })
  )
)
/** Elements with commas between them. */
const listOf = <A extends string>(element: Schema.Codec<A, string>) =>
  Schema.String.pipe(
    Schema.decodeTo(
      Schema.Array(element),
      SchemaTransformation.transform({
        decode: (text): ReadonlyArray<string> => text.split(",").map((part) => part.trim()),
        encode: (parts) => parts.join(",")
      })
    )
  )
const word = Schema.String.check(Schema.isPattern(/^[a-z\d-]+$/))
const postgresUrl = Schema.RedactedFromValue(Schema.String.check(Schema.isPattern(/^postgres(ql)?:\/\//)))

/** What {@link PositiveDuration} takes. */
export const aDuration = "a duration above zero, such as “5 seconds” or “500 millis”"
const aPostgresUrl = "an address that begins with postgresql://"
const aCount = (minimum: number, maximum: number) => `a whole number from ${minimum} to ${maximum}`

export const variables = {
  host: required("HOST", "127.0.0.1", text, "an address of this machine", "The address to listen on."),
  port: required(
    "PORT",
    "3000",
    count(0, 65_535),
    "a port from 1 to 65535, or 0 for a free one",
    "The port to listen on."
  ),
  databaseUrl: optional(
    "DATABASE_URL",
    postgresUrl,
    aPostgresUrl,
    "The Postgres to use. Without it an embedded one is started."
  ),
  databaseListenUrl: optional(
    "DATABASE_LISTEN_URL",
    postgresUrl,
    aPostgresUrl,
    "Where to LISTEN, when DATABASE_URL leads through a transaction pooler."
  ),
  databasePrepare: required(
    "DATABASE_PREPARE",
    "true",
    flag,
    "true or false",
    "false for poolers that cannot keep prepared statements."
  ),
  databaseMaxConnections: required(
    "DATABASE_MAX_CONNECTIONS",
    "10",
    count(2, 1_000),
    aCount(2, 1_000),
    "The size of the connection pool; the listener has a connection of its own."
  ),
  dataDir: required(
    "DATA_DIR",
    ".metadata-batcher/postgres",
    text,
    "a folder",
    "Where the embedded Postgres keeps its data."
  ),
  adminToken: optional(
    "ADMIN_TOKEN",
    secret(16),
    "at least 16 characters",
    "The token of the administrator. Without it one is made at the first start and printed once."
  ),
  maxBatchSize: required(
    "METADATA_MAX_BATCH_SIZE",
    "500",
    count(1, 10_000),
    aCount(1, 10_000),
    "Entries in a batch; as soon as this many are pending they are written."
  ),
  maxBatchBytes: required(
    "METADATA_MAX_BATCH_BYTES",
    "4194304",
    count(1_024, 1_073_741_824),
    aCount(1_024, 1_073_741_824),
    "Bytes in a batch; a larger entry is written alone."
  ),
  flushInterval: required(
    "METADATA_FLUSH_INTERVAL",
    "5 seconds",
    PositiveDuration,
    aDuration,
    "The longest that an entry waits for its batch."
  ),
  queueCapacity: optional(
    "METADATA_QUEUE_CAPACITY",
    count(1, 1_000_000),
    aCount(1, 1_000_000),
    "Entries that may wait while a batch is being written. Without it, five batches."
  ),
  maxPending: required(
    "METADATA_MAX_PENDING",
    "100000",
    count(1, 10_000_000),
    aCount(1, 10_000_000),
    "Keys of which the latest value is kept while the database is away."
  ),
  writeTimeout: required(
    "METADATA_WRITE_TIMEOUT",
    "10 seconds",
    PositiveDuration,
    aDuration,
    "The longest that writing a batch may take before it is cancelled and tried again."
  ),
  pubsubWatchdogInterval: required(
    "PUBSUB_WATCHDOG_INTERVAL",
    "15 seconds",
    PositiveDuration,
    aDuration,
    "How often a heartbeat is published that every replica has to hear."
  ),
  pubsubWatchdogTimeout: required(
    "PUBSUB_WATCHDOG_TIMEOUT",
    "5 minutes",
    PositiveDuration,
    aDuration,
    "The longest that no heartbeat may be heard although they are published: then the process ends."
  ),
  statsReportInterval: required(
    "STATS_REPORT_INTERVAL",
    "30 seconds",
    PositiveDuration,
    aDuration,
    "How often agents are to report their statistics."
  ),
  experiments: optional(
    "EXPERIMENTS",
    listOf(Schema.Literals(["workspace-usage"])),
    "experiments with commas between them; there is workspace-usage",
    "What is tried out. workspace-usage: sessions are counted by the programs of people, not by agents."
  ),
  shutdownTimeout: required(
    "SHUTDOWN_TIMEOUT",
    "15 seconds",
    PositiveDuration,
    aDuration,
    "The longest that the last flush may take when the service stops."
  ),
  agentPingInterval: required(
    "AGENT_PING_INTERVAL",
    "15 seconds",
    PositiveDuration,
    aDuration,
    "How often an agent is pinged, and its connection noted."
  ),
  agentPingTimeout: optional(
    "AGENT_PING_TIMEOUT",
    PositiveDuration,
    aDuration,
    "The longest that an agent may leave pings unanswered: two intervals or more. Without it two, at least 2 seconds."
  ),
  agentMaxCallRate: required(
    "AGENT_MAX_CALL_RATE",
    "100",
    count(1, 1_000_000),
    aCount(1, 1_000_000),
    "Calls that an agent may make in a second; one that makes more is read more slowly."
  ),
  maxMessageBytes: required(
    "AGENT_MAX_MESSAGE_BYTES",
    "4194304",
    count(1_024, 1_073_741_824),
    aCount(1_024, 1_073_741_824),
    "The largest message of an agent; a larger one ends its connection."
  ),
  maxBodyBytes: required(
    "MAX_BODY_BYTES",
    "16777216",
    count(1_024, 1_073_741_824),
    aCount(1_024, 1_073_741_824),
    "The largest body of an HTTP request; a larger one is answered with 413."
  ),
  maxConnections: required(
    "MAX_CONNECTIONS",
    "20000",
    count(10, 1_000_000),
    aCount(10, 1_000_000),
    "Connections of all kinds; further ones are closed at once."
  ),
  maxStrangers: required(
    "MAX_UNAUTHENTICATED_CONNECTIONS",
    "1000",
    count(5, 1_000_000),
    aCount(5, 1_000_000),
    "Connections without a valid token so far; when there are more the oldest one is closed."
  ),
  requestTimeout: required(
    "REQUEST_TIMEOUT",
    "30 seconds",
    PositiveDuration,
    aDuration,
    "The longest that a request may take to arrive."
  ),
  idleTimeout: required(
    "IDLE_TIMEOUT",
    "1 minute",
    PositiveDuration,
    aDuration,
    "How long nothing may move over the connection of a watcher or an HTTP client; then it is closed."
  ),
  wildcardAccessUrl: optional(
    "WILDCARD_ACCESS_URL",
    Schema.String.check(Schema.isPattern(/^https?:\/\/[^*/\s]*\*[^*/\s]*\/?$/)),
    "an address with one * in its host, such as https://*.apps.example.com",
    "Where agents tell editors to find their ports. Without it editors are told nothing."
  ),
  externalAuthProviders: optional(
    "EXTERNAL_AUTH_PROVIDERS",
    listOf(word),
    "types of providers with commas between them, such as github,gitlab",
    "The providers that people can sign in with. Agents are told how many of them serve git."
  ),
  disableDirectConnections: required(
    "DISABLE_DIRECT_CONNECTIONS",
    "false",
    flag,
    "true or false",
    "true where agents must be reached through relays alone."
  ),
  derpForceWebsockets: required(
    "DERP_FORCE_WEBSOCKETS",
    "false",
    flag,
    "true or false",
    "true where relays can only be reached by WebSocket."
  ),
  logFormat: required(
    "LOG_FORMAT",
    "auto",
    Schema.Literals(["auto", "pretty", "json"]),
    "auto, pretty or json",
    "How logs are written; auto is pretty on a terminal and json elsewhere."
  ),
  logLevel: required(
    "LOG_LEVEL",
    "info",
    Schema.Literals(["debug", "info", "warn", "error"]),
    "debug, info, warn or error",
    "The least important log records that are written."
  ),
  traceEndpoint: optional(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Schema.String.check(Schema.isPattern(/^https?:\/\/[^/\s]+\S*$/)),
    "an address that begins with http:// or https://",
    "Where to send traces, by OTLP over HTTP. Without it none are made."
  ),
  traceSampleRatio: required(
    "TRACE_SAMPLE_RATIO",
    "1",
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    "a number from 0 to 1",
    "The part of all traces that is kept and sent."
  ),
  demoAgents: required(
    "DEMO_AGENTS",
    "0",
    count(0, 10_000),
    aCount(0, 10_000),
    "Simulated agents to run beside the service when its database is the embedded one."
  )
} as const

type Variables = typeof variables

/** The name of a setting in code. */
export type Setting = keyof Variables

/** All settings, decoded. */
export type Settings = { readonly [Name in Setting]: Config.Success<Variables[Name]["config"]> }

/** Settings that cannot be used. Each problem names a variable and what it must be. */
export class InvalidSettings extends Data.TaggedError("InvalidSettings")<{
  readonly problems: ReadonlyArray<string>
}> {
  override get message() {
    return this.problems.join("\n")
  }
}

/** Reads the settings; `flags` are values by the name of their variable. */
export const read = Effect.fnUntraced(function* (
  flags: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Settings, InvalidSettings> {
  const provider = ConfigProvider.fromEnvRecord(flags).pipe(
    ConfigProvider.orElse(yield* ConfigProvider.ConfigProvider),
    ConfigProvider.orElse(defaults)
  )
  const problems: Array<string> = []
  const settings: { [Name in Setting]?: unknown } = {}
  for (const [setting, { config, must, name }] of entries) {
    const result = yield* Effect.result(Effect.provideService(config, ConfigProvider.ConfigProvider, provider))
    if (Result.isSuccess(result)) settings[setting] = result.success
    else problems.push(`${name} must be ${must}`)
  }
  const found = settings as Partial<Settings>
  for (const { holds, problem } of rules) if (!holds(found)) problems.push(problem)
  return problems.length === 0 ? (found as Settings) : yield* new InvalidSettings({ problems })
})

const entries = Object.entries(variables) as ReadonlyArray<[Setting, Variable<unknown>]>

/** What settings must be to each other. Of a setting that is wrong by itself nothing more is said. */
const rules: ReadonlyArray<{ readonly holds: (found: Partial<Settings>) => boolean; readonly problem: string }> = [
  {
    holds: ({ maxBatchSize = 0, maxPending = Infinity }) => maxPending >= maxBatchSize,
    problem: `${variables.maxPending.name} must be at least ${variables.maxBatchSize.name}`
  },
  {
    holds: (found) =>
      found.databaseListenUrl === undefined || !("databaseUrl" in found) || found.databaseUrl !== undefined,
    problem: `${variables.databaseListenUrl.name} must be left out where there is no ${variables.databaseUrl.name}`
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
  Object.fromEntries(entries.map(([, { fallback, name }]) => [name, fallback]))
)
